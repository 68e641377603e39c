-- Every subscription, by name, with its partitions, its lag and what it has set aside. Counts events: meant for people.
with marks as materialized (select key, horizon, head from meowmx.horizons())
select
  s.name, pg_catalog.to_json(s.categories), pg_catalog.to_json(s.types), s.stream_id, c.partitions, c.position,
  meowmx.lag_of(s, (
    select min(m.horizon) from marks m
    where m.key is null or m.key = -1
      or m.key in (select meowmx.category_key(name) from pg_catalog.unnest(s.categories) as name)
      or s.categories is null and m.key = meowmx.store_key()
  )) as lag,
  (
    select coalesce(sum((select count(*) from meowmx.set_aside(p, s.types))), 0)
    from meowmx.parked_events p where p.subscription = s.name
  ) as parked,
  greatest(c.furthest - (select max(m.head) from marks m), 0) as ahead
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
order by s.name
