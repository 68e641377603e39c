-- The announcements of all open appends: a row for each lock. A lock counts only if the same transaction also holds the
-- store's lock. One pass over the locks finds this out, because any role may take as many locks as the server has room for. A
-- join would be a nested loop, because the planner assumes that pg_locks has a single row.
create or replace function announcements()
returns table (owner text, pid int, key int, low bigint)
language sql stable
begin atomic
  select l.owner, l.pid, l.classid::bigint::bit(32)::int, l.objid::bigint
  from (
    select virtualtransaction as owner, k.pid, classid, objid,
           bool_or(classid = 'events'::regclass) over (partition by virtualtransaction) as announces
    from pg_locks k
    where locktype = 'advisory' and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
  ) as l
  where l.announces;
end;
