-- How many executors of a paused subscription may still begin events: those that are alive, and have not said that they know.
select count(*)
from meowmx.subscriptions s
join meowmx.executors x on x.subscription = s.name
where s.name = $1 and s.paused_at is not null and not x.is_paused and x.alive_until > pg_catalog.clock_timestamp()
