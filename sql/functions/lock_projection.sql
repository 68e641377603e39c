-- Lets one transaction at a time change the versions of a projection, and which one is live.
create or replace function lock_projection(_name text) returns void
language plpgsql
set search_path from current
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('meowmx projection ' || current_schema() || ' ' || _name, 0));
end
$$;
