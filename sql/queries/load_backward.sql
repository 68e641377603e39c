-- A range of one stream, newest first: versions $3 to below $4, at most $5.
select {{event}}
from meowmx.events
where category = $1 and stream_id = $2 and version >= $3 and version < $4::bigint
order by version desc
limit (select $5::bigint)
