-- One call of the publisher: functions/publish.sql says what goes in and comes out.
select keys, bounds, free, head, settled, held, commits
from meowmx.publish($1, $2, $3, $4)
