-- Each category by a loose index scan (one probe a category), then its counts from one index alone: no seq scan, but every
-- event of it is counted. The events above position $1 (null: none) are counted once more and subtracted.
with recursive names as (
  (select category from meowmx.events order by category limit 1)
  union all
  select (select e.category from meowmx.events e where e.category > names.category order by e.category limit 1)
  from names where names.category is not null
), above as materialized (
  select e.category, count(*) as events, count(*) filter (where e.version = 0) as streams
  from meowmx.events e where e.position > (select $1::bigint) group by e.category
)
select
  n.category, a.streams - coalesce(above.streams, 0) as streams, a.events - coalesce(above.events, 0) as events,
  (
    select e.position from meowmx.events e
    where e.category = n.category and e.position <= (select coalesce($1::bigint, 9223372036854775807))
    order by e.position desc limit 1
  ) as last_position
from names n
cross join lateral (
  select count(*) as events, count(*) filter (where e.version = 0) as streams
  from meowmx.events e where e.category = n.category
) as a
left join above on above.category = n.category
where n.category is not null and a.events > coalesce(above.events, 0)
order by n.category
