-- One look of a conductor: functions/quiet_ring.sql says what goes in and comes out.
select keys, bounds, free, head, settled, held, commits
from meowmx.quiet_ring($1, $2, $3, $4)
