-- Events of one stream from position $3 to $4, at most $5, of the types $6 and with the tags $8 (null: all), and only as many as have
-- about $7 bytes; the first one always. Positions and versions of a stream
-- have one order, and only versions are indexed: the first one is mostly the event at $3, or follows the one before it.
select {{event}}
from (
  select position, recorded_at, id, version, category, stream_id, type, data, metadata,
         sum({{bytes}}) over (order by version rows between unbounded preceding and 1 preceding) as before
  from (
    select position, recorded_at, id, version, category, stream_id, type, data, metadata
    from meowmx.events
    where category = $1 and stream_id = $2
      and version >= coalesce(
        (select version from meowmx.events where position = $3 and category = $1 and stream_id = $2),
        1 + meowmx.version_at($1, $2, $3::bigint - 1))
      and version <= meowmx.version_at($1, $2, $4)
      and position + 0 between $3 and $4
      and ($6::text[] is null or type = any ($6))
      and ($8::text[] is null or meowmx.has_tags(position, $8))
    order by version
    limit (select $5::bigint)
  ) as walk
) as page
where coalesce(before, 0) < (select $7::bigint)
order by version
