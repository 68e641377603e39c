-- Whether two JSON texts have the same value, except for the order of keys and white space. What jsonb can't hold (by a raw
-- INSERT: \u0000, half a surrogate pair) equals only the same text.
create or replace function same_json(_one json, _other json) returns boolean
language plpgsql immutable
set search_path from current
as $$
begin
  return _one::text = _other::text or _one::jsonb = _other::jsonb;
exception when data_exception or program_limit_exceeded then
  return false;
end
$$;
