-- The event at a position, as the error of a condition that does not hold names it.
create or replace function event_at(_position bigint) returns json
language sql stable
begin atomic
  select json_build_object(
    'id', e.id, 'position', e.position, 'type', e.type, 'stream', json_build_object('category', e.category, 'streamId', e.stream_id)
  ) from events e where e.position = _position;
end;
