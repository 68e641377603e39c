-- Empties a stream's events: functions/erase_stream.sql says how. The tombstone's columns are null if there is none.
select erased, {{event}}
from (
  select e.erased, (e.tombstone).position, (e.tombstone).recorded_at, (e.tombstone).id, (e.tombstone).version,
         (e.tombstone).category, (e.tombstone).stream_id, (e.tombstone).type, (e.tombstone).data, (e.tombstone).metadata
  from meowmx.erase_stream($1, $2, $3) as e
) as result
