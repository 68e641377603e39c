-- What people and programs do with subscriptions beside consuming: wait for one, look at what it set aside, change it.

-- Who waits until a subscription has handled an event. A hint, and nothing but latency: a waiter looks for itself now
-- and then, so the table need not survive a crash, and a row that nobody took away runs out.
create unlogged table waiters (
  subscription text collate "C" not null,
  position     bigint           not null,
  id           uuid             not null,
  until        timestamptz      not null,
  primary key (subscription, position, id)
);

-- Channel on which waiters are called to look. Payload: the highest checkpoint, or nothing.
create function waiting_channel(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '?' || _subscription);
end
$$;

-- Call the waiters of a subscription, if one of them can have been waiting for what is now behind a checkpoint. One
-- index probe where nobody waits. Who came after this look, and before the caller commits, sees the checkpoint's row
-- being changed, and looks again (queries/reached.sql).
create function ring_waiting(_subscription text) returns void
language plpgsql
set search_path from current
as $$
declare
  _least   constant bigint := (
    select w.position from waiters w
    where w.subscription = _subscription and w.until > clock_timestamp() order by w.position limit 1
  );
  _highest bigint;
begin
  if _least is null then
    return;
  end if;
  _highest := (select max(c.position) from checkpoints c where c.subscription = _subscription);
  if _least <= _highest then
    perform pg_notify(waiting_channel(_subscription), _highest::text);
  end if;
end
$$;

-- A stream that is set aside is passed, though the checkpoint may be far behind; and what is replayed, once it is handled.
create function ring_parked() returns trigger
language plpgsql
set search_path from current
as $$
declare
  _subscription constant text := coalesce(new.subscription, old.subscription);
begin
  if exists (
    select from waiters w
    where w.subscription = _subscription and w.position >= least(old.position, new.position)
      and w.until > clock_timestamp()
  ) then
    perform pg_notify(waiting_channel(_subscription), '');
  end if;
  return null;
end
$$;

create trigger ring_parked
  after insert or update of position or delete on parked_events
  for each row execute function ring_parked();

-- Announce a waiter, for a while, or once more; and sweep up those whose while is over.
create function await_position(_subscription text, _position bigint, _id uuid, _while_ms double precision) returns void
language plpgsql
set search_path from current
as $$
begin
  delete from waiters where (subscription, position, id) in (
    select w.subscription, w.position, w.id from waiters w where w.until < clock_timestamp() for update skip locked
  );
  insert into waiters (subscription, position, id, until)
  values (_subscription, _position, _id, clock_timestamp() + _while_ms * interval '1 ms')
  on conflict (subscription, position, id) do update set until = excluded.until;
end
$$;

-- How many events a subscription selects above its partitions' checkpoints, up to _horizon. Planned for the values at
-- hand, so that a condition which is not there costs nothing (most are answered from an index alone); all but the
-- range, which the planner does not see, and takes for small: it walks an index, however much there is. (A stream is
-- named three times: so it is taken for a short one, and found by its own index.)
create function lag_of(_subscription subscriptions, _horizon bigint) returns bigint
language plpgsql stable
set search_path from current
set plan_cache_mode = force_custom_plan
as $$
declare
  _name       constant text   := _subscription.name;
  _types      constant text[] := _subscription.types;
  _stream_id  constant text   := _subscription.stream_id;
  _partitions constant int    := _subscription.partitions;
  _category   text;
  _low        bigint;
  _high       bigint;
  _lag        bigint := 0;
begin
  select min(c.position), max(c.position) into _low, _high from checkpoints c where c.subscription = _name;
  foreach _category in array coalesce(_subscription.categories, array[null::text]) loop
    _lag := _lag + (
      select count(*) from events e
      where e.position > (select _low) and e.position <= (select _horizon)
        and (_category is null or e.category = _category)
        and (_types is null or e.type = any (_types))
        and (_stream_id is null
          or e.stream_id = _stream_id and e.stream_id >= _stream_id and e.stream_id <= _stream_id)
        and (_low = _high or e.position > _high or e.position > (
          select c.position from checkpoints c
          where c.subscription = _name and c.partition = stream_hash(e.category, e.stream_id) % _partitions
        ))
    );
  end loop;
  -- Below the checkpoint, and not handled: what is on its way back.
  return _lag + (
    select coalesce(sum((
      select count(*) from set_aside(p, _types) e
      where e.position <= (
        select c.position from checkpoints c
        where c.subscription = _name and c.partition = stream_hash(p.category, p.stream_id) % _partitions
      )
    )), 0)
    from parked_events p where p.subscription = _name and p.replaying
  );
end
$$;

-- The events of a stream that is set aside, of these types. Only versions are indexed inside a stream, and they have
-- the order of positions: the first one is mostly the event at the row's position, or follows the one before it.
create function set_aside(_parked parked_events, _types text[]) returns setof events
language sql stable
begin atomic
  select e.* from events e
  where e.category = _parked.category and e.stream_id = _parked.stream_id
    and e.version >= coalesce(
      (select x.version from events x
       where x.position = _parked.position and x.category = _parked.category and x.stream_id = _parked.stream_id),
      (select x.version::bigint + 1 from events x
       where x.position = _parked.position - 1 and x.category = _parked.category and x.stream_id = _parked.stream_id),
      0)
    and e.position + 0 >= _parked.position
    and (_types is null or e.type = any (_types))
  order by e.version;
end;

-- What a subscription has set aside: stream by stream, in the order in which they were blocked, the event that
-- failed, then those of its stream that wait behind it.
create function parked(_subscription text, _limit bigint default 100)
returns table (
  attempts int, error text, parked_at timestamptz,
  "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language plpgsql stable
set search_path from current
as $$
declare
  _types  text[];
  _parked parked_events;
  _count  bigint;
begin
  select s.types into _types from subscriptions s where s.name = _subscription;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  -- Stream by stream, so that no more is read than what is wanted.
  for _parked in select * from parked_events p where p.subscription = _subscription order by p.position loop
    exit when _limit <= 0;
    return query
      select case when f.failed then _parked.attempts else 0 end,
             case when f.failed then nullif(_parked.error, '') end, _parked.parked_at,
             e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata
      from set_aside(_parked, _types) e,
           lateral (
             select e.position = _parked.position and (_parked.attempts > 0 or _parked.error <> '') as failed
           ) as f
      order by e.version limit _limit;
    get diagnostics _count = row_count;
    _limit := _limit - _count;
  end loop;
end
$$;

-- Put streams back: all, or one; their attempts are counted anew. Returns how many events these are.
create function replay_parked(_subscription text, _stream_id text default null) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _types text[];
  _count bigint;
begin
  select s.types into _types from subscriptions s where s.name = _subscription;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  with put_back as (
    update parked_events p set replaying = true, attempts = 0
    where p.subscription = _subscription and not p.replaying and (_stream_id is null or p.stream_id = _stream_id)
    returning p
  )
  select sum((select count(*) from set_aside(b.p, _types))) into _count from put_back b;
  perform pg_notify(bell(_subscription), '');
  return coalesce(_count, 0);
end
$$;

-- Lock a subscription against claims, and its checkpoints against whoever owns them: in this order, and not more of the
-- subscription's row than that, for an owner who sets a stream aside refers to it.
create function seize(_name text) returns subscriptions
language plpgsql
set search_path from current
as $$
declare
  _there subscriptions;
begin
  select * into _there from subscriptions s where s.name = _name for no key update;
  if not found then
    raise exception 'there is no subscription "%"', _name using errcode = 'MW011';
  end if;
  perform from checkpoints c where c.subscription = _name order by c.partition for no key update;
  return _there;
end
$$;

-- Refuse while somebody owns a subscription, or waits to own it.
create function refuse_owned(_name text) returns void
language plpgsql
set search_path from current
as $$
declare
  _now    constant timestamptz := clock_timestamp();
  _owners text;
begin
  select string_agg(format('%s (%s)', owner, what), ' and ' order by owner) into _owners
  from (
    select owner, coalesce('partition ' || string_agg(partition::text, ', ' order by partition), 'waiting') as what
    from (
      select c.owner, c.partition from checkpoints c
      where c.subscription = _name and c.owner is not null and c.lease_until > _now
      union all
      select x.owner, null from executors x where x.subscription = _name and x.alive_until > _now
    ) as alive
    group by owner
  ) as owners;
  if _owners is not null then
    raise exception 'subscription "%" is owned by %: stop them first', _name, _owners using errcode = 'MW010';
  end if;
end
$$;

-- Change what is in _changes: {"categories": […] or null, "types": […] or null, "partitions": n}. Only while nobody
-- owns the subscription. Where the number of partitions changes, all begin at the least position of the old ones.
create function alter_subscription(_name text, _changes jsonb) returns void
language plpgsql
set search_path from current
as $$
declare
  _new      subscriptions;
  _position bigint;
  _epoch    bigint;
begin
  perform refuse_owned(_name); -- at once, where an owner's transaction is not to be waited for
  _new := seize(_name);
  perform refuse_owned(_name);

  if _changes ? 'categories' then
    _new.categories := (
      select array_agg(c order by n)
      from jsonb_array_elements_text(nullif(_changes -> 'categories', 'null')) with ordinality as l (c, n)
    );
    if _new.stream_id is not null and cardinality(_new.categories) is distinct from 1 then
      raise exception 'subscription "%" is of stream "%", which needs exactly one category', _name, _new.stream_id
        using errcode = 'MW012';
    end if;
  end if;
  if _changes ? 'types' then
    _new.types := (
      select array_agg(t order by n)
      from jsonb_array_elements_text(nullif(_changes -> 'types', 'null')) with ordinality as l (t, n)
    );
  end if;
  _new.partitions := coalesce((_changes ->> 'partitions')::int, _new.partitions);
  update subscriptions s set categories = _new.categories, types = _new.types, partitions = _new.partitions, revision = gen_random_uuid()
  where s.name = _name;

  -- Whoever's lease ran out, and does not know yet, must never be valid again: new epochs, above all old ones.
  select min(c.position), max(c.epoch) into _position, _epoch from checkpoints c where c.subscription = _name;
  if _new.partitions = (select count(*) from checkpoints c where c.subscription = _name) then
    update checkpoints c set epoch = _epoch + 1, owner = null, lease_until = null where c.subscription = _name;
  else
    delete from checkpoints c where c.subscription = _name;
    insert into checkpoints (subscription, partition, position, epoch)
    select _name, n, _position, _epoch + 1 from generate_series(0, _new.partitions - 1) as n;
  end if;
  delete from executors x where x.subscription = _name;
  perform pg_notify(bell(_name), '');
end
$$;

-- Go on after _position, whoever is at work: the leases are taken away, and what was set aside is forgotten.
create function reset_subscription(_name text, _position bigint) returns void
language plpgsql
set search_path from current
as $$
begin
  perform seize(_name);
  update checkpoints c set position = _position, epoch = c.epoch + 1, owner = null, lease_until = null
  where c.subscription = _name;
  delete from parked_events p where p.subscription = _name;
  perform pg_notify(bell(_name), '');
  perform ring_waiting(_name);
end
$$;

-- Its executors, if there are any, find out.
create function delete_subscription(_name text) returns void
language plpgsql
set search_path from current
as $$
begin
  perform seize(_name);
  perform setval('retired_epoch', greatest(
    (select last_value from retired_epoch), (select max(c.epoch) from checkpoints c where c.subscription = _name)
  ));
  -- First what an owner, who may be in the middle of a transaction, holds on to.
  delete from checkpoints c where c.subscription = _name;
  delete from subscriptions s where s.name = _name;
  perform pg_notify(bell(_name), '');
  perform pg_notify(waiting_channel(_name), '');
end
$$;
