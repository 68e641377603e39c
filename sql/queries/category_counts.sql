-- Counts the events above position $1 up to $2 by category, in one pass over them.
select e.category, count(*) filter (where e.version = 0) as streams, count(*) as events, max(e.position) as last_position
from meowmx.events e
where e.position > (select $1::bigint) and e.position <= (select $2::bigint)
group by e.category
