-- Events above position $2, at most $3, whose correlation id is $1, as JSON writes it. schema/014_operating.sql says how the
-- index finds them: by a hash, so the text is compared, too.
select {{event}}
from meowmx.events
where pg_catalog.strpos(metadata::text, '"correlationId"') > 0
  and pg_catalog.hashtextextended(
    case when pg_catalog.strpos(metadata::text, E'\\') = 0 then metadata ->> 'correlationId'
         else substring(metadata::text from E'"correlationId"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)"') end,
    0
  ) = pg_catalog.hashtextextended($1, 0)
  and case when pg_catalog.strpos(metadata::text, E'\\') = 0 then metadata ->> 'correlationId'
           else substring(metadata::text from E'"correlationId"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)"') end = $1
  and position > $2
order by position
limit (select $3::bigint)
