-- Gives partitions back with their last checkpoints, and wakes the other executors. Returns those that were still the caller's.
-- _leaving: the executor no longer takes part.
create or replace function release(
  _subscription text, _owner text, _partitions int[], _epochs bigint[], _positions bigint[], _leaving boolean
) returns int[]
language plpgsql
set search_path from current
as $$
declare
  _ours int[];
begin
  -- Not the rows of others: an executor that leaves does not wait for their transactions.
  perform from checkpoints c
  where c.subscription = _subscription and (c.partition = any (_partitions) or _leaving and c.owner = _owner)
  order by c.partition for no key update;
  with freed as (
    update checkpoints c
    set position = greatest(c.position, n.position), owner = null, lease_until = null
    from unnest(_partitions, _epochs, _positions) as n (partition, epoch, position)
    where c.subscription = _subscription and c.partition = n.partition and c.epoch = n.epoch and c.owner is not null
    returning c.partition
  )
  select coalesce(array_agg(partition), '{}') into _ours from freed;
  if _leaving then
    -- Partitions of a claim whose answer was not waited for.
    update checkpoints c set owner = null, lease_until = null where c.subscription = _subscription and c.owner = _owner;
    delete from executors e where e.subscription = _subscription and e.owner = _owner;
  end if;
  perform pg_notify(wake_channel(_subscription), '');
  perform wake_waiters(_subscription);
  return _ours;
end
$$;
