-- Tables of the store $1 that are updated all the time: how many dead rows they have, and whether autovacuum would remove them.
select s.relname, s.n_dead_tup, s.n_live_tup,
       coalesce(c.reloptions::text like '%autovacuum_enabled=false%', false) as off
from pg_stat_all_tables s join pg_class c on c.oid = s.relid
where s.schemaname = $1
  and (s.n_dead_tup > greatest(10000, 2 * s.n_live_tup) or c.reloptions::text like '%autovacuum_enabled=false%')
order by s.n_dead_tup desc, s.relname
