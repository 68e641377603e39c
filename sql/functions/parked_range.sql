-- From which version on a stream is parked, and its last one. The first one is mostly the event at the row's position, or
-- follows the one before it. (One row, as a table: so it is inlined.)
create or replace function parked_range(_category text, _stream_id text, _position bigint) returns table (first int, final int)
language sql stable
begin atomic
  select
    coalesce(
      (select e.version from events e
       where e.position = _position and e.category = _category and e.stream_id = _stream_id),
      1 + version_at(_category, _stream_id, _position - 1)),
    coalesce(
      (select e.version from events e
       where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1),
      -1);
end;
