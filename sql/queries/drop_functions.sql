-- The statements that drop these triggers ($2, each as table.trigger) and functions ($3) of store $1, in order.
select pg_catalog.format('drop trigger %I on %I.%I', t.tgname, n.nspname, c.relname)
from pg_namespace n
join pg_class c on c.relnamespace = n.oid
join pg_trigger t on t.tgrelid = c.oid
where n.nspname = $1 and c.relname || '.' || t.tgname = any ($2::text[])
union all
select 'drop function ' || string_agg(p.oid::regprocedure::text, ', ')
from pg_namespace n
join pg_proc p on p.pronamespace = n.oid
where n.nspname = $1 and p.proname = any ($3::text[])
having count(*) > 0
