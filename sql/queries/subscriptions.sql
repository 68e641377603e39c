-- Subscriptions by name, all or those in $1, each with its partitions, its lag and what it has parked. The lag counts what is
-- committed, even above the horizon; the part of it that an open append holds back is also counted separately. With $2 everything
-- is counted. Otherwise functions/counts_of.sql counts at most 100,000 events for all subscriptions together, at least 1,000 each.
with marks as materialized (
  select key, horizon, head from meowmx.horizons()
), chosen as materialized (
  select
    (s.*)::meowmx.subscriptions as s, c.position, c.furthest, c.partitions,
    (
      select min(m.horizon) from marks m
      where m.key is null or m.key = -1
        or m.key in (select meowmx.category_key(name) from pg_catalog.unnest(s.categories) as name)
        or s.categories is null and m.key = meowmx.store_key()
    ) as horizon,
    (select max(m.horizon) from marks m) as settled, -- the last committed event of the store
    (select max(m.head) from marks m) as head
  from meowmx.subscriptions s
  cross join lateral (
    select min(c.position) as position, max(c.position) as furthest, pg_catalog.json_agg(pg_catalog.json_build_array(
      c.partition, c.position,
      case when c.lease_until > clock_timestamp() then c.owner end,
      case when c.lease_until > clock_timestamp() and c.owner is not null
           then pg_catalog.trunc(extract(epoch from c.lease_until) * 1000::numeric) end
    ) order by c.partition) as partitions
    from meowmx.checkpoints c where c.subscription = s.name
  ) as c
  where $1::text[] is null or s.name = any ($1)
), share as (
  select greatest(1000, 100000 / greatest(count(*), 1)) as most from chosen where position < head
)
select
  (c.s).name, pg_catalog.to_json((c.s).categories), pg_catalog.to_json((c.s).types), (c.s).stream_id, pg_catalog.to_json((c.s).tags), c.partitions, c.position,
  n.lag, n.lag_is_estimate, n.streams, n.parked, n.parked_is_estimate,
  greatest(c.furthest - c.head, 0) as ahead, h.events, h.ms,
  pg_catalog.trunc(extract(epoch from (c.s).paused_at) * 1000::numeric)
from chosen c
cross join share
cross join lateral (select case when $2 then null else share.most end as most) as limits
cross join lateral meowmx.counts_of(c.s, c.head, limits.most) as n
cross join lateral meowmx.held_back(c.s, c.horizon, c.settled, c.head, n.lag, limits.most) as h
order by (c.s).name
