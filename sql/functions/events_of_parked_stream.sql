-- The events of a parked stream, of these types and with all of these tags (null: all).
create or replace function events_of_parked_stream(_category text, _stream_id text, _position bigint, _types text[], _tags text[])
returns table (
  "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language sql stable
begin atomic
  select e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata from events e
  where e.category = _category and e.stream_id = _stream_id
    and e.version >= (select r.first from parked_range(_category, _stream_id, _position) as r)
    and e.position + 0 >= _position
    and (_types is null or e.type = any (_types))
    and (_tags is null or has_tags(e.position, _tags))
  order by e.version;
end;
