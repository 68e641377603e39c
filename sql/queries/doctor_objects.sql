-- In what a store differs from what this version installs, a row each. $1: its schema; $2 and $3: the names of its functions, and
-- their bodies ('': it is not compared), a name as often as it has functions; $4: its triggers, as table.trigger; $5: its indexes. Then the roles that may read events,
-- and lack a privilege that such a role needs.
with store as materialized (
  select oid from pg_namespace where nspname = $1
), relations as materialized (
  select c.oid, c.relname::text as name, c.relkind, c.relowner, c.relacl from pg_class c join store s on s.oid = c.relnamespace
), functions as materialized (
  select p.oid, p.proname::text as name, p.prosrc from pg_proc p join store s on s.oid = p.pronamespace where p.proname = any ($2::text[])
), readers as materialized (
  select distinct a.grantee as role
  from relations r cross join lateral pg_catalog.aclexplode(r.relacl) as a
  where r.name = 'events' and a.privilege_type = 'SELECT' and a.grantee <> r.relowner and a.grantee <> 0
)
select 'function', w.name, case when count(distinct f.oid) < count(distinct w.n) then 'missing' else 'another text' end
from unnest($2::text[], $3::text[]) with ordinality as w (name, body, n)
left join functions f on f.name = w.name
group by w.name
having count(distinct f.oid) < count(distinct w.n)
  or count(distinct w.n) filter (where w.body = '' or f.prosrc = w.body) < count(distinct w.n)
union all
select 'trigger', w.name, case when t.oid is null then 'missing' else 'off' end
from pg_catalog.unnest($4::text[]) as w (name)
left join (pg_trigger t join relations r on r.oid = t.tgrelid) on r.name || '.' || t.tgname = w.name
where t.oid is null or t.tgenabled = 'D'
union all
select 'index', w.name, case when i.indexrelid is null then 'missing' else 'not valid' end
from pg_catalog.unnest($5::text[]) as w (name)
left join (pg_index i join relations r on r.oid = i.indexrelid) on r.name = w.name
where i.indexrelid is null or not (i.indisvalid and i.indisready)
union all
select 'privilege', pg_catalog.pg_get_userbyid(b.role), pg_catalog.string_agg(distinct b.lacks, ', ')
from (
  select x.role, 'select on ' || r.name
  from readers x cross join relations r
  where r.relkind = 'r' and not pg_catalog.has_table_privilege(x.role, r.oid, 'select')
  union all
  select x.role, 'select on ' || r.name
  from readers x cross join relations r
  where r.relkind = 'S' and not pg_catalog.has_sequence_privilege(x.role, r.oid, 'select')
  union all
  select x.role, 'execute on ' || f.name
  from readers x cross join functions f where not pg_catalog.has_function_privilege(x.role, f.oid, 'execute')
) as b (role, lacks)
group by b.role
order by 1, 2
