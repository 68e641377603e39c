-- Whether a subscription has handled or parked all committed events up to position $2: none that it selects is above the
-- checkpoint of its partition, and no parked stream is being replayed. The columns are those of reached.sql.
select
  not exists (
    select from meowmx.parked_events p where p.subscription = s.name and p.replaying and p.position <= $2
  )
  and (low.position >= $2 or not exists (
    select
    from pg_catalog.unnest(coalesce(s.categories, array[null::text])) as name
    cross join lateral (
      (
        select e.category, e.stream_id, e.position from meowmx.events e
        where s.categories is not null and e.category = name and e.position > low.position and e.position <= $2
          and (s.types is null or e.type = any (s.types)) and (s.stream_id is null or e.stream_id = s.stream_id)
          and (s.tags is null or meowmx.has_tags(e.position, s.tags))
      )
      union all
      (
        select e.category, e.stream_id, e.position from meowmx.events e
        where s.categories is null and e.position > low.position and e.position <= $2
          and (s.types is null or e.type = any (s.types))
          and (s.tags is null or meowmx.has_tags(e.position, s.tags))
      )
    ) as e
    join meowmx.checkpoints c
      on c.subscription = s.name and c.partition = meowmx.stream_hash(e.category, e.stream_id) % s.partitions::bigint
    where c.position < e.position
  )) as reached,
  exists (
    select from meowmx.checkpoints c
    where c.subscription = s.name and c.xmax::text::bigint in (
      select xid::text::bigint & 4294967295 from pg_snapshot_xip(pg_current_snapshot()) as xid
    )
  ) as changing,
  meowmx.waiting_channel(s.name)
from meowmx.subscriptions s
cross join lateral (select min(c.position) as position from meowmx.checkpoints c where c.subscription = s.name) as low
where s.name = $1
