-- The versions of projections, all or those of the projection $1, each with how far it is. The columns of a version that is not
-- set up yet are null.
with marks as materialized (
  select key, horizon, head from meowmx.horizons()
)
select
  p.name, p.version, p.generation,
  case when p.is_live then 'live' when p.activated_at is not null then 'retired'
       when p.completed_at is not null then 'ready' else 'building' end,
  p.schema_name, p.subscription, p.expose,
  coalesce((
    select pg_catalog.json_agg(t.name order by t.name) from meowmx.projected_tables(p.schema_name) as t
  ), '[]'),
  coalesce(c.position, 0), coalesce(own.horizon, whole.settled, 0), coalesce(n.lag, 0), coalesce(n.lag_is_estimate, false),
  coalesce(n.streams, 0), coalesce(c.is_owned, false),
  pg_catalog.trunc(extract(epoch from p.created_at) * 1000::numeric),
  pg_catalog.trunc(extract(epoch from p.completed_at) * 1000::numeric),
  pg_catalog.trunc(extract(epoch from p.activated_at) * 1000::numeric)
from meowmx.projections p
left join meowmx.subscriptions s on s.name = p.subscription
left join lateral (
  select min(c.position) as position, pg_catalog.bool_or(c.lease_until > clock_timestamp() and c.owner is not null) as is_owned
  from meowmx.checkpoints c where c.subscription = s.name
) as c on true
left join lateral (
  select min(m.horizon) as horizon from marks m
  where m.key is null or m.key = -1
    or m.key in (select meowmx.category_key(name) from pg_catalog.unnest(s.categories) as name)
    or s.categories is null and m.key = meowmx.store_key()
) as own on s.name is not null
cross join (select max(m.horizon) as settled, max(m.head) as head from marks m) as whole
left join lateral meowmx.counts_of(s.*, whole.head, 10000) as n on s.name is not null
where p.dropped_at is null and ($1::text is null or p.name = $1)
order by p.name, p.version, p.generation
