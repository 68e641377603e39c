-- Append to one stream, in plain SQL, for every other language:
--   select * from meowmx.append('order', '42', '[{"type": "OrderPlaced", "data": {"price": 9}}]', 'no-stream')
-- _events    one object or an array of {"type", "data", "metadata", "id"}; metadata and id may be left out
-- _expected  'any', 'no-stream', 'stream-exists', or the version that the stream's last event must have
-- Returns the events as recorded. Raises MW006 for a version conflict, MW007 for an id that is known otherwise, MW013 if the schema
-- was renamed or copied and is not mended yet: the body, unlike what search_path finds, is bound to this schema.
create or replace function append(_category text, _stream_id text, _events json, _expected text default 'any')
returns setof events
language sql
begin atomic
  select a from append_to('events'::regclass, _category, _stream_id, _events, _expected) as a;
end;
