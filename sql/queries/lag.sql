-- How many committed events a subscription has still to handle, and how many of them an open append holds back, for how long;
-- of more than 10,000 it is estimated how many there are.
with marks as materialized (
  select key, horizon, head from meowmx.horizons()
)
select c.lag, c.lag_is_estimate, h.events, h.ms
from meowmx.subscriptions s
cross join lateral (
  select min(m.horizon) as horizon from marks m
  where m.key is null or m.key = -1
    or m.key in (select meowmx.category_key(name) from pg_catalog.unnest(s.categories) as name)
    or s.categories is null and m.key = meowmx.store_key()
) as own
cross join (select max(m.horizon) as settled, max(m.head) as head from marks m) as whole
cross join lateral meowmx.counts_of(s.*, whole.head, 10000) as c
cross join lateral meowmx.held_back(s.*, own.horizon, whole.settled, whole.head, c.lag, 10000) as h
where s.name = $1
