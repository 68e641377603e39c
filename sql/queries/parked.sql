-- Parked events of a subscription, at most $2, and only as many as have about $3 bytes; the first one always.
-- functions/parked.sql says in which order, which adding up leaves as it is.
select attempts, error, pg_catalog.trunc(extract(epoch from parked_at) * 1000::numeric), {{event}}
from (
  select attempts, error, parked_at, position, recorded_at, id, version, category, stream_id, type, data, metadata,
         sum({{bytes}}) over (rows between unbounded preceding and 1 preceding) as before
  from meowmx.parked($1, $2)
) as page
where coalesce(before, 0) < (select $3::bigint)
