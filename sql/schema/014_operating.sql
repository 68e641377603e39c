-- What an operator needs at night.

-- Finds the events of a correlation id (queries/trace.sql). Events without one are not in it and cost next to nothing.
--
-- The key is a hash, because an id may be longer than an index allows. It is made without raising an error, whatever the
-- metadata is: in JSON with a backslash, ->> would fail at \u0000 or half a surrogate pair. There the key is the text of the
-- first "correlationId" as it is written, with its escapes. (E'' means the same whatever standard_conforming_strings is.)
create index events_correlation on events (
  hashtextextended(
    case when strpos(metadata::text, E'\\') = 0 then metadata ->> 'correlationId'
         else substring(metadata::text from E'"correlationId"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)"') end,
    0
  ),
  position
) where strpos(metadata::text, '"correlationId"') > 0;
