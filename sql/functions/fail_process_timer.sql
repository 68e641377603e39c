-- A timer of an instance has failed: it is tried again in _again_ms, or, if that is null, is kept as failed. Nothing happens if it was
-- scheduled again meanwhile.
create or replace function fail_process_timer(
  _process text, _id text, _name text, _due bigint, _error text, _again_ms double precision
) returns void
language plpgsql
set search_path from current
as $$
begin
  perform from process_instances p where p.process = _process and p.id = _id for update;
  update process_timers t
  set attempts = t.attempts + 1, error = _error, next_at = clock_timestamp() + _again_ms * interval '1 millisecond'
  where t.process = _process and t.id = _id and t.name = _name and floor(date_part('epoch', t.due) * 1000)::bigint = _due;
end
$$;
