-- A range of one stream: versions $3 to below $4, at most $5.
select {{event}}
from meowmx.events
where category = $1 and stream_id = $2 and version >= $3 and version < $4::bigint
order by version
limit (select $5::bigint)
