-- The streams of category $1 whose ids begin with $2 and come after $3, at most $4, in the order of their ids' bytes: two
-- probes of an index a stream, however many events it has.
with recursive found as (
  (
    select stream_id, 1 as n from meowmx.events
    where category = $1 and stream_id >= $2 and stream_id > $3
    order by stream_id limit 1
  )
  union all
  select
    (
      select e.stream_id from meowmx.events e
      where e.category = $1 and e.stream_id > f.stream_id order by e.stream_id limit 1
    ),
    f.n + 1
  from found f
  where f.n < $4::bigint and pg_catalog.starts_with(f.stream_id, $2)
)
select f.stream_id, last.version, last.position
from found f
cross join lateral (
  select e.version, e.position from meowmx.events e
  where e.category = $1 and e.stream_id = f.stream_id order by e.version desc limit 1
) as last
where pg_catalog.starts_with(f.stream_id, $2)
order by f.n
