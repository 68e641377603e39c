-- The same for this schema, for LISTEN.
create or replace function channel(_category text default null) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return channel_of(current_schema(), _category);
end
$$;
