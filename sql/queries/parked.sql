-- Events that a subscription has set aside, at most $2: 009_manage.sql says in which order.
select attempts, error, pg_catalog.trunc(extract(epoch from parked_at) * 1000::numeric), {{event}}
from meowmx.parked($1, $2)
