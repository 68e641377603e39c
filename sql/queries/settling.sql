-- Subscriptions ($1: these; null: all), each with the position of the last committed event that it selects. Only what lies above
-- its furthest checkpoint is looked at: if nothing does, it is that checkpoint.
select s.name, coalesce(
  case when s.categories is null then (
    select e.position from meowmx.events e
    where e.position > c.furthest and (s.types is null or e.type = any (s.types))
    order by e.position desc limit 1
  ) else (
    select max(last.position)
    from pg_catalog.unnest(s.categories) as name
    cross join lateral (
      select e.position from meowmx.events e
      where e.category = name and e.position > c.furthest
        and (s.types is null or e.type = any (s.types)) and (s.stream_id is null or e.stream_id = s.stream_id)
      order by e.position desc limit 1
    ) as last
  ) end,
  c.furthest
)
from meowmx.subscriptions s
cross join lateral (
  select coalesce(max(c.position), 0) as furthest from meowmx.checkpoints c where c.subscription = s.name
) as c
where $1::text[] is null or s.name = any ($1)
