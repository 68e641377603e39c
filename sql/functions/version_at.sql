-- The version of a stream's last event at or below _position; -1 if there is none. Inside a stream only versions are
-- indexed, and positions have their order: mostly one of the first two probes is the answer, otherwise a binary search finds
-- it.
create or replace function version_at(_category text, _stream_id text, _position bigint) returns int
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _found  record;
  _low    int := -1; -- at or below _position
  _high   int;       -- above it, and all versions from here on
  _middle int;
begin
  select e.version into _found from events e
  where e.position = _position and e.category = _category and e.stream_id = _stream_id;
  if found then
    return _found.version;
  end if;
  select e.version, e.position into _found from events e
  where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1;
  if not found then
    return -1;
  elsif _found.position <= _position then
    return _found.version;
  end if;
  _high := _found.version;
  while _high - _low > 1 loop
    _middle := _low + (_high - _low) / 2;
    select e.version, e.position into strict _found from events e
    where e.category = _category and e.stream_id = _stream_id and e.version >= _middle order by e.version limit 1;
    if _found.position <= _position then
      _low := _found.version;
    else
      _high := _middle;
    end if;
  end loop;
  return _low;
end
$$;
