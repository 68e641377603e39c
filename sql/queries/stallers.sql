-- Whose announcements the horizons wait for, as 003_horizon.sql counts them: a row for each transaction and category. A
-- category is named by its committed events, one probe a category.
with recursive locks as materialized (
  select virtualtransaction as owner, pid, classid::bigint::bit(32)::int as key
  from pg_locks
  where locktype = 'advisory' and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
), held as materialized (
  select distinct owner, pid, key from locks
  where owner in (select owner from locks where key = meowmx.store_key())
), names as (
  (select category from meowmx.events order by category limit 1)
  union all
  select (select e.category from meowmx.events e where e.category > names.category order by e.category limit 1)
  from names where names.category is not null
), waited as (
  -- All hold the key of the store. It alone is somebody else's lock, for which the store waits, and no category.
  select distinct h.owner, h.pid, n.category
  from held h
  left join lateral (select category from names where meowmx.category_key(category) = h.key) as n on true
  where h.key <> meowmx.store_key() or not exists (select from held o where o.owner = h.owner and o.key <> h.key)
)
select
  w.pid, a.application_name, current_database(),
  pg_catalog.trunc(extract(epoch from coalesce(a.xact_start, p.prepared, a.state_change)) * 1000::numeric) as since,
  coalesce(a.query, 'PREPARE TRANSACTION ' || quote_literal(p.gid)), w.category
from waited w
left join pg_stat_activity a on a.pid = w.pid
left join (
  pg_locks x join pg_prepared_xacts p on p.transaction = x.transactionid and x.locktype = 'transactionid'
) on w.pid is null and x.virtualtransaction = w.owner
order by since, w.pid, w.category
