-- Each category with its last position, by two index probes: nothing is counted.
with recursive names as (
  (select category from meowmx.events order by category limit 1)
  union all
  select (select e.category from meowmx.events e where e.category > names.category order by e.category limit 1)
  from names where names.category is not null
)
select
  category,
  (select e.position from meowmx.events e where e.category = names.category order by e.position desc limit 1) as last_position
from names
where category is not null
order by category
