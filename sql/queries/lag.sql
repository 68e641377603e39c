-- How many events a subscription selects above its checkpoints.
select meowmx.lag_of(s, meowmx.horizon(variadic coalesce(s.categories, '{}')))
from meowmx.subscriptions s
where s.name = $1
