-- One batch: functions/append_batch.sql says what goes in and comes out.
select outcome, version, duplicate, positions, recorded_at
from meowmx.append_batch($1, $2, $3, $4, $5, $6, $7, $8)
