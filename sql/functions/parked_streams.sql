-- The parked streams of these partitions.
create or replace function parked_streams(_subscription text, _partitions int[])
returns table (partition int, category text, stream_id text, "position" bigint, attempts int, replaying boolean, discarded boolean)
language sql stable
set search_path from current
as $$
  select h.hash % s.partitions, p.category, p.stream_id, p.position, p.attempts, p.replaying, p.discarded
  from subscriptions s
  join parked_events p on p.subscription = s.name
  cross join lateral (select stream_hash(p.category, p.stream_id)) as h (hash)
  where s.name = _subscription and h.hash % s.partitions = any (_partitions)
$$;
