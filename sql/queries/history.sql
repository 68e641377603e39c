-- What identifies the history of the store: whether the server is a standby, which server it is and since when it runs, the last
-- position, the event at position $1, and the newest event.
select
  pg_catalog.pg_is_in_recovery(),
  extract(epoch from pg_catalog.pg_postmaster_start_time()),
  (select last_value - (not is_called)::int from meowmx.events_position_seq),
  (select e.id from meowmx.events e where e.position = $1::bigint),
  newest.position, newest.id
from (select) as one
left join lateral (
  select e.position, e.id from meowmx.events e order by e.position desc limit 1
) as newest on true
