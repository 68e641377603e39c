-- The views that readers of a projection query: those in the schema where its versions expose their tables, each with the name of a
-- table of one of its versions, and reading it.
create or replace function projection_views(_name text)
returns table (view oid, expose text, name name)
language sql stable
begin atomic
  select distinct v.oid, p.expose, v.relname
  from projections p
  join pg_catalog.pg_class t on t.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(p.schema_name))::oid
  join pg_catalog.pg_depend d
    on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.oid and d.classid = 'pg_catalog.pg_rewrite'::regclass
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  join pg_catalog.pg_class v
    on v.oid = r.ev_class and v.relkind = 'v' and v.relname = t.relname
   and v.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(p.expose))::oid
  where p.name = _name;
end;
