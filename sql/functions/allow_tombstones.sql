-- Until the end of this transaction, take copies of tombstones from who may erase. A restore takes all as it is, anyway.
create or replace function allow_tombstones() returns void
language plpgsql
as $$
begin
  if current_setting('meowmx.maintenance', true) is distinct from 'on' then
    perform set_config('meowmx.maintenance', 'tombstones', true);
  end if;
end
$$;
