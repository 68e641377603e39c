-- What must go before the functions and triggers of store $1 are made once more, a statement a row: its triggers, and those of
-- its functions ($2: all their names) that are bound to another schema, for these may have that one's types as arguments.
select format('drop trigger %I on %I.%I', t.tgname, n.nspname, c.relname)
from pg_namespace n
join pg_class c on c.relnamespace = n.oid
join pg_trigger t on t.tgrelid = c.oid
join pg_proc p on p.oid = t.tgfoid
where n.nspname = $1 and p.proname = any ($2::text[])
union all
select 'drop function ' || string_agg(oid::regprocedure::text, ', ')
from (
  select distinct o.oid
  from pg_namespace n
  join pg_proc o on o.pronamespace = n.oid
  join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = o.oid
  left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
  left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
  left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
  where n.nspname = $1 and o.proname = any ($2::text[])
    and coalesce(c.relnamespace, p.pronamespace, t.typnamespace) not in (n.oid, 'pg_catalog'::regnamespace)
) as bound
having count(*) > 0
