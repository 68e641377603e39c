-- Parks a stream from _position on, if the caller owns its partition (_epoch). _replaying: only until its executor tries
-- again.
--
-- If an answer is lost, this call comes twice, and an administrator may have discarded the event in between: then it stays
-- discarded.
create or replace function park(
  _subscription text, _partition int, _epoch bigint, _category text, _stream_id text, _position bigint,
  _attempts int, _error text, _replaying boolean
) returns boolean
language plpgsql
set search_path from current
as $$
begin
  if not holds(_subscription, _partition, _epoch) then
    return false;
  end if;
  insert into parked_events (subscription, category, stream_id, position, attempts, error, replaying)
  values (_subscription, _category, _stream_id, _position, _attempts, _error, _replaying)
  on conflict (subscription, category, stream_id) do update
  set position = excluded.position, attempts = excluded.attempts, error = excluded.error, replaying = excluded.replaying,
      discarded = false, parked_at = excluded.parked_at
  where not (parked_events.discarded and parked_events.position = excluded.position);
  return true;
end
$$;
