-- Executors share a subscription's partitions, each owned by one at a time under a lease. The epoch is the fence: every
-- write of an owner carries it, and does nothing once the partition has changed hands.

-- What an executor does again and again: say that it is alive, renew the leases it holds (_partitions and their _epochs),
-- and take what is free up to its fair share: partitions / executors alive, and one more for those who joined first where
-- that leaves a rest. Who holds more gives back, in his own time, and the others take it then.
--
-- Returns a row for each partition held afterwards (`fresh`: taken just now, go on after `reached`), or one row
-- without a partition. `share`: how many to hold; `wait_ms`: when the first lease of another runs out, if nothing is
-- heard of before.
create function claim(
  _subscription text, _owner text, _lease_ms int, _partitions int[], _epochs bigint[], _revision uuid default null
)
returns table (partition int, epoch bigint, reached bigint, fresh boolean, share int, wait_ms int)
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
declare
  _now   timestamptz;
  _until timestamptz;
  _count int;
  _current uuid;
  _joined timestamptz;
  _alive int;
  _before int;
  _held  int[];
  _taken int[];
begin
  -- One at a time: two that count at once would both take the last one.
  select s.partitions, s.revision into _count, _current from subscriptions s where s.name = _subscription for no key update;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  if _revision <> _current then
    raise exception 'subscription "%" was altered, or made anew, since this executor began', _subscription using errcode = 'MW010';
  end if;
  _now := clock_timestamp();
  _until := _now + _lease_ms * interval '1 ms';

  update executors e set alive_until = _until
  where e.subscription = _subscription and e.owner = _owner
  returning e.joined_at into _joined;
  if not found then
    insert into executors (subscription, owner, joined_at, alive_until) values (_subscription, _owner, _now, _until);
    _joined := _now;
    perform pg_notify(bell(_subscription), '');
  end if;
  delete from executors e where e.subscription = _subscription and e.alive_until <= _now;

  perform from checkpoints c where c.subscription = _subscription and c.partition = any (_partitions)
  order by c.partition for no key update;
  with renewed as (
    update checkpoints c set lease_until = _until
    from unnest(_partitions, _epochs) as h (partition, epoch)
    where c.subscription = _subscription and c.partition = h.partition and c.epoch = h.epoch and c.owner = _owner
    returning c.partition
  )
  select coalesce(array_agg(r.partition), '{}') into _held from renewed r;

  select count(*), count(*) filter (where (e.joined_at, e.owner) < (_joined, _owner)) into _alive, _before
  from executors e where e.subscription = _subscription;
  share := _count / _alive + (_before < _count % _alive)::int;

  -- What is ours and not among what we hold: the answer to the claim that took it was lost.
  with free as (
    select c.partition from checkpoints c
    where c.subscription = _subscription and not c.partition = any (_held)
      and (c.owner is null or c.owner = _owner or c.lease_until <= _now)
    order by c.partition limit greatest(share - cardinality(_held), 0)
    for no key update of c skip locked
  ), taken as (
    update checkpoints c set epoch = c.epoch + 1, owner = _owner, lease_until = _until
    from free where c.subscription = _subscription and c.partition = free.partition
    returning c.partition
  )
  select coalesce(array_agg(t.partition), '{}') into _taken from taken t;

  select ceil(extract(epoch from least(
    (select min(c.lease_until) from checkpoints c where c.subscription = _subscription and c.owner <> _owner and c.lease_until > _now),
    (select min(e.alive_until) from executors e where e.subscription = _subscription and e.owner <> _owner)
  ) - _now) * 1000) into wait_ms;

  return query
    select c.partition, c.epoch, c.position, c.partition = any (_taken), claim.share, claim.wait_ms
    from (select) as one
    left join checkpoints c on c.subscription = _subscription and c.partition = any (_held || _taken);
end
$$;

-- Move checkpoints up and renew their leases. Returns the partitions that are still the caller's.
create function advance(_subscription text, _lease_ms int, _partitions int[], _epochs bigint[], _positions bigint[])
returns int[]
language plpgsql
set search_path from current
as $$
declare
  _ours int[];
begin
  -- Always in one order, so that no two wait for each other.
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
  perform ring_waiting(_subscription);
  return _ours;
end
$$;

-- Give partitions back, with their last checkpoints, and ring. Returns those that were still the caller's. _leaving: the
-- executor is no longer one of those who share.
create function release(
  _subscription text, _owner text, _partitions int[], _epochs bigint[], _positions bigint[], _leaving boolean
) returns int[]
language plpgsql
set search_path from current
as $$
declare
  _ours int[];
begin
  -- Not others' rows: who leaves is not to wait for what they have under way.
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
    -- What a claim took whose answer nobody waited for.
    update checkpoints c set owner = null, lease_until = null where c.subscription = _subscription and c.owner = _owner;
    delete from executors e where e.subscription = _subscription and e.owner = _owner;
  end if;
  perform pg_notify(bell(_subscription), '');
  perform ring_waiting(_subscription);
  return _ours;
end
$$;
