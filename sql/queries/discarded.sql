-- The events of a subscription that were discarded, the newest first, at most $2.
select
  d.attempts, d.error, d.reason, d.discarded_by, pg_catalog.trunc(extract(epoch from d.discarded_at) * 1000::numeric), {{event}}
from (
  select attempts, error, reason, discarded_by, discarded_at, position as at from meowmx.discarded_events
  where subscription = $1 order by discarded_at desc, position desc limit (select $2::bigint)
) as d
join meowmx.events on position = d.at
order by d.discarded_at desc, d.at desc
