-- What a view can be made on in the schema of a version: its tables and views, each with its columns, in order, and a text for
-- each column that says its name and type.
create or replace function projected_tables(_schema text)
returns table (relation oid, name name, columns text, types text[])
language sql stable
begin atomic
  select c.oid, c.relname, coalesce(a.columns, ''), coalesce(a.types, '{}')
  from pg_catalog.pg_class c
  cross join lateral (
    select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum) as columns,
           pg_catalog.array_agg(
             pg_catalog.format('%I %s %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation)
             order by a.attnum
           ) as types
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) as a
  where c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(_schema))::oid
    and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition;
end;
