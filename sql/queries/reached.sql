-- Whether a subscription is past position $2: the checkpoint of that event's partition is, or its stream is parked and is not
-- being replayed. If there is no such event, or the subscription does not select it, all checkpoints must be. `changing`: a
-- transaction under way is changing one of them, and may not have seen a waiter. No row: there is no such subscription.
select
  coalesce(
    (
      select coalesce((
        select not p.replaying from meowmx.parked_events p
        where p.subscription = s.name and p.category = e.category and p.stream_id = e.stream_id and p.position <= $2
      ), c.position >= $2)
      from meowmx.events e
      join meowmx.checkpoints c
        on c.subscription = s.name and c.partition = meowmx.stream_hash(e.category, e.stream_id) % s.partitions::bigint
      where e.position = $2
        and (s.categories is null or e.category = any (s.categories))
        and (s.types is null or e.type = any (s.types))
        and (s.stream_id is null or e.stream_id = s.stream_id)
        and (s.tags is null or meowmx.has_tags(e.position, s.tags))
    ),
    (select min(c.position) >= $2 from meowmx.checkpoints c where c.subscription = s.name)
  ) as reached,
  exists (
    select from meowmx.checkpoints c
    where c.subscription = s.name and c.xmax::text::bigint in (
      select xid::text::bigint & 4294967295 from pg_snapshot_xip(pg_current_snapshot()) as xid
    )
  ) as changing,
  meowmx.waiting_channel(s.name)
from meowmx.subscriptions s
where s.name = $1
