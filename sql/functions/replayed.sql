-- A replayed event was handled: the stream is parked from _position on, or, if that is null, no longer parked.
create or replace function replayed(
  _subscription text, _partition int, _epoch bigint, _category text, _stream_id text, _position bigint
) returns boolean
language plpgsql
set search_path from current
as $$
begin
  if not holds(_subscription, _partition, _epoch) then
    return false;
  end if;
  if _position is null then
    delete from parked_events p
    where p.subscription = _subscription and p.category = _category and p.stream_id = _stream_id;
  else
    update parked_events p set position = _position, attempts = 0, error = '', discarded = false
    where p.subscription = _subscription and p.category = _category and p.stream_id = _stream_id;
  end if;
  return true;
end
$$;
