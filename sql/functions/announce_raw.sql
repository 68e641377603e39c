-- Announces every category for an insert without the append function into table `_table`, which must be the one of this schema.
create or replace function announce_raw(_table oid) returns void
language plpgsql
set search_path from current
as $$
begin
  if to_regclass('events') is distinct from _table then
    raise exception 'schema "%" was renamed or copied, and its triggers still work in schema "%"',
      (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = _table),
      split_part(current_setting('search_path'), ', pg_temp', 1)
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  perform announce(null);
end
$$;
