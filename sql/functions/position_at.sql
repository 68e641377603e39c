-- The position to start after, in order to read all events that were recorded at or after a moment: the one before the first
-- such event or, if there is none, the last one.
--
-- Times are not indexed, but they have nearly the order of positions. So halving finds where the minute before that moment begins,
-- and from there on each event is looked at: clocks may be out of step, and appends may have been open, for as long as that. If
-- events were imported with times in another order, there may be several such places, and one of them is found.
create or replace function position_at(_since timestamptz) returns bigint
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _from   constant timestamptz := _since - interval '0.5 ms'; -- readers see times rounded to milliseconds
  _early  constant timestamptz := _from - interval '1 min';
  _last   constant bigint := coalesce((select e.position from events e order by e.position desc limit 1), 0);
  _low    bigint := 0;         -- all events up to here are early
  _high   bigint := _last + 1; -- and none from here on
  _middle bigint;
  _found  record;
begin
  while _high - _low > 1 loop
    _middle := _low + (_high - _low) / 2;
    select e.position, e.recorded_at into strict _found
    from events e where e.position >= _middle order by e.position limit 1;
    if _found.recorded_at < _early then
      _low := _found.position;
    else
      _high := _middle;
    end if;
  end loop;
  return coalesce(
    (select e.position - 1 from events e where e.position > _low and e.recorded_at >= _from order by e.position limit 1),
    _last
  );
end
$$;
