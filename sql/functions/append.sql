-- Append to one stream, in plain SQL, for every other language:
--   select * from meowmx.append('order', '42', '[{"type": "OrderPlaced", "data": {"price": 9}}]', 'no-stream')
-- _events     one object or an array of {"type", "data", "metadata", "id", "tags"}; all but type and data may be left out
-- _expected   'any', 'no-stream', 'stream-exists', or the version that the stream's last event must have
-- _condition  {"query": [{"tags": [...], "types": [...]}, ...], "after": what query() has returned as seen}: there must be no event
--             that matches and was not seen; without "after": none at all
-- Returns the events as recorded; their tags are the first key of metadata, "$tags". Raises MW006 for a version conflict, MW007 for an
-- id that is known otherwise, MW013 if the schema was renamed or copied and is not mended yet: the body, unlike what search_path finds,
-- is bound to this schema. With a condition: MW020 if it does not hold, MW018 if the transaction is not READ COMMITTED, MW021 if this
-- store has not made "after".
create or replace function append(
  _category text, _stream_id text, _events json, _expected text default 'any', _condition json default null
)
returns setof events
language sql
begin atomic
  select a from append_to('events'::regclass, _category, _stream_id, _events, _expected, _condition) as a;
end;
