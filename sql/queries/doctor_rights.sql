-- What this role may do in the store $1, by the roles of SECURITY.md. It asks by oid, so that a role without any right can ask, too.
with rights as materialized (
  select c.relname as name,
         case c.relkind when 'S' then has_sequence_privilege(c.oid, 'select') else has_table_privilege(c.oid, 'select') end as reads,
         case c.relkind when 'S' then false else has_any_column_privilege(c.oid, 'insert') end as inserts,
         case c.relkind when 'S' then has_sequence_privilege(c.oid, 'update') else has_any_column_privilege(c.oid, 'update') end as updates,
         case c.relkind when 'S' then false else has_table_privilege(c.oid, 'delete') end as deletes,
         pg_has_role(c.relowner, 'usage') as owns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relkind in ('r', 'S')
)
select
  current_user,
  exists (select from pg_namespace where nspname = $1),
  coalesce((select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = $1), false),
  coalesce((select bool_and(reads) from rights), false) as read,
  coalesce((select inserts from rights where name = 'events'), false) as append,
  coalesce((
    select bool_and(inserts or name = 'checkpoints' and updates) from rights
    where name in ('subscriptions', 'checkpoints', 'executors', 'parked_events')
  ), false) as subscribe,
  coalesce((select deletes from rights where name = 'subscriptions'), false) as manage,
  coalesce((select updates from rights where name = 'coalescing_until'), false) as publish,
  coalesce((select owns from rights where name = 'events'), has_database_privilege(current_database(), 'create')) as migrate
