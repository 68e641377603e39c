-- The last position that was assigned. A standby may not know it yet: it refuses, as for a horizon.
select case
  when pg_catalog.pg_is_in_recovery() then (select max(head) from meowmx.horizons())
  else last_value - (not is_called)::int
end
from meowmx.events_position_seq
