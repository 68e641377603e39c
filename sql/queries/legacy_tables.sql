-- Which of the tables $1 this database has, in schema $2 (null: in any), and their columns.
select n.nspname as schema, c.relname as table, array_agg(a.attname::text) as columns, current_database() as database
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'v', 'f') and c.relname = any ($1) and ($2::text is null or n.nspname = $2)
  and n.nspname !~ '^pg_(temp|toast)'
group by n.nspname, c.relname order by n.nspname
