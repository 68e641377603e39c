-- Moves checkpoints up and renews their leases. Returns the partitions that are still the caller's.
create or replace function advance(_subscription text, _lease_ms int, _partitions int[], _epochs bigint[], _positions bigint[])
returns int[]
language plpgsql
set search_path from current
as $$
declare
  _ours int[];
begin
  -- Always in the same order, so that two calls never wait for each other.
  if cardinality(_partitions) > 1 then
    perform from checkpoints c where c.subscription = _subscription and c.partition = any (_partitions)
    order by c.partition for no key update;
  end if;
  with moved as (
    update checkpoints c
    set position = greatest(c.position, n.position), lease_until = clock_timestamp() + _lease_ms * interval '1 ms'
    from unnest(_partitions, _epochs, _positions) as n (partition, epoch, position)
    where c.subscription = _subscription and c.partition = n.partition and c.epoch = n.epoch and c.owner is not null
    returning c.partition
  )
  select coalesce(array_agg(partition), '{}') into _ours from moved;
  perform wake_waiters(_subscription);
  return _ours;
end
$$;
