-- Executors share the partitions of a subscription. One executor at a time owns a partition, under a lease. The epoch is the
-- fence: each write of an owner carries it, and has no effect once another executor owns the partition.
--
-- An executor calls this again and again. The call says that the executor is alive, renews its leases (_partitions with their
-- _epochs), and takes free partitions up to its share: partitions / live executors, and one more for the executors that joined
-- first if there is a remainder. An executor that has more hands the surplus over when it can, and others take it then.
--
-- Returns a row for each partition that the executor owns afterwards (`fresh`: it was taken by this call, and goes on after
-- `reached`), or one row without a partition. `share`: how many partitions to own. `wait_ms`: in how many ms the first lease of
-- another executor expires if it is not renewed. `paused`: the subscription is paused, so the share is 0. The executor repeats
-- that in its next call (_paused), which then says that it begins no event any more.
create or replace function claim(
  _subscription text, _owner text, _lease_ms int, _partitions int[], _epochs bigint[], _revision uuid default null,
  _paused boolean default false
)
returns table (partition int, epoch bigint, reached bigint, fresh boolean, share int, wait_ms int, paused boolean)
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
  -- One call at a time: two calls that count at the same time would both take the last partition.
  select s.partitions, s.revision, s.paused_at is not null into _count, _current, paused from subscriptions s where s.name = _subscription for no key update;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  if _revision <> _current then
    raise exception 'subscription "%" was altered, or deleted and created again, since this executor began', _subscription using errcode = 'MW010';
  end if;
  _now := clock_timestamp();
  _until := _now + _lease_ms * interval '1 ms';

  update executors e set alive_until = _until, is_paused = claim.paused and _paused
  where e.subscription = _subscription and e.owner = _owner
  returning e.joined_at into _joined;
  if not found then
    insert into executors (subscription, owner, joined_at, alive_until, is_paused)
    values (_subscription, _owner, _now, _until, claim.paused and _paused);
    _joined := _now;
    perform pg_notify(wake_channel(_subscription), '');
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
  share := case when paused then 0 else _count / _alive + (_before < _count % _alive)::int end;

  -- Partitions that are ours but not in _partitions: the answer to the claim that took them was lost.
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
    select c.partition, c.epoch, c.position, c.partition = any (_taken), claim.share, claim.wait_ms,
           claim.paused
    from (select) as one
    left join checkpoints c on c.subscription = _subscription and c.partition = any (_held || _taken);
end
$$;
