-- Sets the search_path of this transaction for a handler of a projection, whose schema comes first; returns whether readers have not
-- seen this version yet. It returns no row if the version was dropped.
select
  p.activated_at is null,
  pg_catalog.set_config('search_path', case
    when pg_catalog.starts_with(pg_catalog.current_setting('search_path'), own.name) then pg_catalog.current_setting('search_path')
    else pg_catalog.concat_ws(', ', own.name, nullif(pg_catalog.current_setting('search_path'), ''))
  end, true)
from meowmx.projections p
cross join lateral (select pg_catalog.quote_ident(p.schema_name) as name) as own
where p.schema_name = $1 and p.dropped_at is null
