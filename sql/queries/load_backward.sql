-- A range of one stream, newest first: versions $3 to below $4, at most $5, and only as many as have about $6 bytes; the first one always.
select {{event}}
from (
  select position, recorded_at, id, version, category, stream_id, type, data, metadata,
         sum({{bytes}}) over (order by version desc rows between unbounded preceding and 1 preceding) as before
  from (
    select position, recorded_at, id, version, category, stream_id, type, data, metadata
    from meowmx.events
    where category = $1 and stream_id = $2 and version >= $3 and version < $4::bigint
    order by version desc
    limit (select $5::bigint)
  ) as walk
) as page
where coalesce(before, 0) < (select $6::bigint)
order by version desc
