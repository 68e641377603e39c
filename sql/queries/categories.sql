-- Each category by a loose index scan (one probe a category), then its counts from the index alone: no seq scan, but
-- every event of it is counted.
with recursive names as (
  (select category from meowmx.events order by category limit 1)
  union all
  select (select e.category from meowmx.events e where e.category > names.category order by e.category limit 1)
  from names where names.category is not null
)
select
  category,
  (select count(*) from meowmx.events e where e.category = names.category and e.version = 0) as streams,
  (select count(*) from meowmx.events e where e.category = names.category) as events,
  (select e.position from meowmx.events e where e.category = names.category order by e.position desc limit 1) as last_position
from names
where category is not null
