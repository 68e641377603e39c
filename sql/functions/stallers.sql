-- The transactions whose announcements hold the horizons back: a row for each transaction and category, the oldest transaction
-- first. The name of a category is found by its committed events, which costs one index probe for each category of the store. The
-- category is null if the transaction holds back every category (`every`), or only categories without committed events; then
-- readers of the whole store wait for it, and readers of a new category.
-- Nested loops are off, because the planner expects a few rows of each of these, and there may be thousands.
create or replace function stallers()
returns table (pid int, application text, database text, since_ms numeric, query text, category text, every boolean)
language sql
set search_path from current
set enable_nestloop = off
as $$
  with recursive held as materialized (
    select distinct owner, pid, key, key = store_key() as of_store from announcements()
  ), names as (
    (select category from events order by category limit 1)
    union all
    select (select e.category from events e where e.category > names.category order by e.category limit 1)
    from names where names.category is not null
  ), waited as (
    -- Each append holds the store's lock. If that is its only lock, it is not an append of this library: it holds back the
    -- store, but no category.
    select distinct h.owner, h.pid, n.category, h.key = -1 as every
    from held h
    left join (select category, category_key(category) as key from names) as n on n.key = h.key
    where not of_store or not exists (select from held o where o.owner = h.owner and not o.of_store)
  )
  select w.pid, a.application_name, current_database(),
         trunc(extract(epoch from coalesce(a.xact_start, p.prepared, a.state_change)) * 1000),
         coalesce(a.query, 'PREPARE TRANSACTION ' || quote_literal(p.gid)), w.category, w.every
  from waited w
  left join pg_stat_activity a on a.pid = w.pid
  left join (
    pg_locks x join pg_prepared_xacts p on p.transaction = x.transactionid and x.locktype = 'transactionid'
  ) on w.pid is null and x.virtualtransaction = w.owner
  order by 4, w.pid, w.category
$$;
