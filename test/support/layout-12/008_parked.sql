-- Streams that are set aside. Each change is the owner's of their partition, fenced by its epoch.

-- True while the epoch is current: the checkpoint's row stays locked until this transaction ends, so that it stays true.
create function holds(_subscription text, _partition int, _epoch bigint) returns boolean
language plpgsql
set search_path from current
as $$
begin
  perform from checkpoints c
  where c.subscription = _subscription and c.partition = _partition and c.epoch = _epoch and c.owner is not null
  for no key update;
  return found;
end
$$;

-- Set a stream aside from _position on. _replaying: only until its executor tries again.
create function park(
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
      parked_at = excluded.parked_at;
  return true;
end
$$;

-- The parked streams of these partitions.
create function parked_streams(_subscription text, _partitions int[])
returns table (partition int, category text, stream_id text, "position" bigint, attempts int, replaying boolean)
language sql stable
set search_path from current
as $$
  select h.hash % s.partitions, p.category, p.stream_id, p.position, p.attempts, p.replaying
  from subscriptions s
  join parked_events p on p.subscription = s.name
  cross join lateral (select stream_hash(p.category, p.stream_id)) as h (hash)
  where s.name = _subscription and h.hash % s.partitions = any (_partitions)
$$;

-- A replayed event is handled: the stream is set aside from _position on, or, where null, no longer.
create function replayed(
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
    update parked_events p set position = _position, attempts = 0, error = ''
    where p.subscription = _subscription and p.category = _category and p.stream_id = _stream_id;
  end if;
  return true;
end
$$;
