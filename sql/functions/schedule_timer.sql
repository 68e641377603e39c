-- Makes a timer, or replaces the one with this key. It is due at _due, or _in_ms from now if that is null. If the old one is being
-- fired at this moment, this waits, and the new one is another timer.
create or replace function schedule_timer(
  _key text, _due timestamptz, _in_ms double precision, _category text, _stream_id text, _write json
) returns void
language plpgsql
set search_path from current
as $$
declare
  _at constant timestamptz := coalesce(_due, clock_timestamp() + _in_ms * interval '1 millisecond');
begin
  insert into timers as t (due, next_at, key, category, stream_id, write)
  values (_at, _at, _key, _category, _stream_id, _write)
  on conflict (key) do update
    set due = excluded.due, next_at = excluded.next_at, attempts = 0, error = null,
        category = excluded.category, stream_id = excluded.stream_id, write = excluded.write;
  perform wake_timers(_at);
end
$$;
