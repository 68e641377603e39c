-- How many events a subscription has still to handle; of more than 10,000 it is estimated how many there are.
select c.lag, c.lag_is_estimate
from meowmx.subscriptions s
cross join lateral meowmx.counts_of(s.*, meowmx.horizon(variadic coalesce(s.categories, '{}')), 10000) as c
where s.name = $1
