-- The channel that tells that something has changed with a projection: a version is made, switched to, or dropped.
create or replace function projection_channel(_name text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '/' || _name);
end
$$;
