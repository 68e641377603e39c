-- Until the end of this transaction, accepts copies of tombstones from a role that may erase. A restore accepts everything.
create or replace function allow_tombstones() returns void
language plpgsql
as $$
begin
  if current_setting('meowmx.maintenance', true) is distinct from 'on' then
    perform set_config('meowmx.maintenance', 'tombstones', true);
  end if;
end
$$;
