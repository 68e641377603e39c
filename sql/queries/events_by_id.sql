-- What was recorded under these ids.
select {{event}}
from meowmx.events
where id = any ($1::uuid[])
