-- Describes the objects that would be lost if these relations were dropped, except those in _schema and these themselves.
create or replace function dependents_of(_relations oid[], _schema text) returns text[]
language sql stable
begin atomic
  select pg_catalog.array_agg(distinct found.object order by found.object)
  from (
    select pg_catalog.pg_describe_object(d.classid, d.objid, 0) as object, d.classid, d.objid
    from (
      -- A view depends by its rule; a function, a policy and so on by themselves.
      select distinct case when r.oid is null then d.classid else 'pg_catalog.pg_class'::regclass::oid end as classid,
                      coalesce(r.ev_class, d.objid) as objid
      from pg_catalog.pg_depend d
      left join pg_catalog.pg_rewrite r on d.classid = 'pg_catalog.pg_rewrite'::regclass and r.oid = d.objid
      where d.deptype <> 'i'
        -- Objects that belong to a relation (statistics, publications, its own policies) count only if their loss matters.
        and (d.deptype <> 'a' or d.classid in (
          'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_constraint'::regclass,
          'pg_catalog.pg_attrdef'::regclass
        ))
        and (
          d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = any (_relations)
          or d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid in (
            select t.oid from pg_catalog.pg_type t where t.typrelid = any (_relations)
          )
        )
    ) as d
    left join pg_catalog.pg_class c on d.classid = 'pg_catalog.pg_class'::regclass and c.oid = d.objid
    left join pg_catalog.pg_constraint k on d.classid = 'pg_catalog.pg_constraint'::regclass and k.oid = d.objid
    left join pg_catalog.pg_proc f on d.classid = 'pg_catalog.pg_proc'::regclass and f.oid = d.objid
    left join pg_catalog.pg_trigger g on d.classid = 'pg_catalog.pg_trigger'::regclass and g.oid = d.objid
    left join pg_catalog.pg_attrdef v on d.classid = 'pg_catalog.pg_attrdef'::regclass and v.oid = d.objid
    left join pg_catalog.pg_class own on own.oid = coalesce(k.conrelid, g.tgrelid, v.adrelid)
    where (c.oid is null or not c.oid = any (_relations))
      and coalesce(c.relnamespace, f.pronamespace, own.relnamespace, k.connamespace, 0::oid)
          is distinct from pg_catalog.to_regnamespace(pg_catalog.quote_ident(_schema))::oid
  ) as found;
end;
