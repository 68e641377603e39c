-- How many appends to this store wait for the lock that NOTIFY takes. In pg_locks it is a lock of the catalog of databases, on
-- no database. An append is recognized by the store's announcement. One pass over the locks, grouped by transaction, as in
-- announcements.sql.
create or replace function waiting_for_notify() returns int
language sql
set search_path from current
as $$
  select count(*)::int from (
    select from pg_locks
    where locktype = 'object' and database = 0 and classid = 'pg_database'::regclass and objid = 0 and not granted
      or locktype = 'advisory' and objsubid = 2 and classid = 'events'::regclass
         and database = (select oid from pg_database where datname = current_database())
    group by virtualtransaction
    having bool_or(locktype = 'object') and bool_or(locktype = 'advisory')
  ) as waiting
$$;
