-- How many events a subscription has still to handle.
select meowmx.lag_of(s, meowmx.horizon(variadic coalesce(s.categories, '{}')))
from meowmx.subscriptions s
where s.name = $1
