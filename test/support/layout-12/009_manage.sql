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

-- The version of a stream's last event at or below _position; -1 if there is none. Inside a stream only versions are
-- indexed, and positions have their order: mostly one of the first two probes is the answer, else halving finds it.
create function version_at(_category text, _stream_id text, _position bigint) returns int
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _found  record;
  _low    int := -1; -- at or below _position
  _high   int;       -- above it, and all versions from here on
  _middle int;
begin
  select e.version into _found from events e
  where e.position = _position and e.category = _category and e.stream_id = _stream_id;
  if found then
    return _found.version;
  end if;
  select e.version, e.position into _found from events e
  where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1;
  if not found then
    return -1;
  elsif _found.position <= _position then
    return _found.version;
  end if;
  _high := _found.version;
  while _high - _low > 1 loop
    _middle := _low + (_high - _low) / 2;
    select e.version, e.position into strict _found from events e
    where e.category = _category and e.stream_id = _stream_id and e.version >= _middle order by e.version limit 1;
    if _found.position <= _position then
      _low := _found.version;
    else
      _high := _middle;
    end if;
  end loop;
  return _low;
end
$$;

-- Walk through the events above _low up to _high, of one category or (_whole) of all, and at most _most of them: how many
-- these were, how many of them are wanted, and the last one's position. Wanted are those of these types and categories (null:
-- of any) that lie above the checkpoint of their partition, if the checkpoints (_reached, by partition) are not equally far.
--
-- Inlined where it is called, so that a condition which is not there costs nothing: most counts are answered from an index
-- alone. The planner sees neither the category nor the limit, and takes the category for a rare one. So it walks the index of
-- categories, in order.
create function walk(
  _whole boolean, _category text, _low bigint, _high bigint, _most bigint,
  _types text[], _categories text[], _reached bigint[]
)
returns table (walked bigint, wanted bigint, last bigint)
language sql stable
begin atomic
  select count(*), count(*) filter (where x.is_wanted), max(x.position)
  from (
    select e.position,
           (_types is null or e.type = any (_types)) and (_categories is null or e.category = any (_categories))
           and (_reached is null
             or e.position > _reached[1 + stream_hash(e.category, e.stream_id) % cardinality(_reached)]) as is_wanted
    from events e
    where e.position > (select _low) and e.position <= (select _high)
      and (_whole or e.category = (select _category))
    order by e.position limit (select _most)
  ) as x;
end;

-- How many events of these types (null: all) a stream has from version _from to _to. Of more than _most versions the rest is
-- estimated to be like them, unless types do not matter.
create function count_versions(_category text, _stream_id text, _from int, _to int, _types text[], _most bigint)
returns table (events bigint, is_estimate boolean)
language sql stable
begin atomic
  select case when _types is null then greatest(_to - _from + 1, 0)
              when w.last < _to then round(w.wanted * (_to - _from + 1) / w.walked::numeric)
              else w.wanted end::bigint,
         _types is not null and coalesce(w.last < _to and w.walked = _most, false)
  from (
    select count(*) as walked, count(*) filter (where x.is_wanted) as wanted, max(x.version) as last
    from (
      select e.version, e.type = any (_types) as is_wanted from events e
      where _types is not null and e.category = _category and e.stream_id = _stream_id
        and e.version >= _from and e.version <= _to
      order by e.version limit (select _most)
    ) as x
  ) as w;
end;

-- From which version on a stream is parked, and its last one. The first one is mostly the event at the row's position, or
-- follows the one before it. (One row, as a table: so it is inlined.)
create function parked_range(_category text, _stream_id text, _position bigint) returns table (first int, final int)
language sql stable
begin atomic
  select
    coalesce(
      (select e.version from events e
       where e.position = _position and e.category = _category and e.stream_id = _stream_id),
      1 + version_at(_category, _stream_id, _position - 1)),
    coalesce(
      (select e.version from events e
       where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1),
      -1);
end;

-- How many events a subscription has still to handle up to _horizon; how many streams it has parked, and how many events they
-- hold.
--
-- With _most, no more events than that are counted one by one, and how many follow is estimated from 16 samples of 32 events a
-- category: a lag of up to _most events is exact. Of parked streams a tenth of _most is looked at. Without it all is exact.
-- (Planned for the values at hand: see walk.)
create function counts_of(
  _subscription subscriptions, _horizon bigint, _most bigint default null,
  out lag bigint, out lag_is_estimate boolean, out streams bigint, out parked bigint, out parked_is_estimate boolean
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_custom_plan
as $$
declare
  _name       constant text   := _subscription.name;
  _categories constant text[] := _subscription.categories;
  _types      constant text[] := _subscription.types;
  _stream_id  constant text   := _subscription.stream_id;
  -- Of very many categories, one walk through the log is shorter than a walk through each.
  _whole      constant boolean := _categories is null or cardinality(_categories) > 100;
  _reached    bigint[]; -- by partition
  _apart      bigint[]; -- the same, where they are not equally far
  _low        bigint;
  _count      record;
begin
  select array_agg(c.position order by c.partition), min(c.position),
         case when min(c.position) < max(c.position) then array_agg(c.position order by c.partition) end
  into _reached, _low, _apart
  from checkpoints c where c.subscription = _name;
  lag := 0;
  lag_is_estimate := false;
  if _stream_id is not null then
    select c.events, c.is_estimate into lag, lag_is_estimate
    from count_versions(
      _categories[1], _stream_id,
      1 + version_at(_categories[1], _stream_id, _reached[1 + stream_hash(_categories[1], _stream_id) % cardinality(_reached)]),
      version_at(_categories[1], _stream_id, _horizon), _types, _most
    ) as c;
  elsif _low < _horizon then
    -- One category after the other, each with what the ones before it have left over.
    with recursive next (n, most, walked, wanted, last, remaining) as (
      select 0, null::bigint, null::bigint, 0::bigint, null::bigint, _most
      union all
      select next.n + 1, next.remaining, w.walked, w.wanted, w.last, next.remaining - least(w.walked, next.remaining - 32)
      from next
      cross join lateral walk(
        _whole, _categories[next.n + 1], _low, _horizon, next.remaining, _types, case when _whole then _categories end, _apart
      ) as w
      where next.n < case when _whole then 1 else cardinality(_categories) end
    ), sample as (
      select w.walked = 32 as is_estimate,
             w.wanted * case when w.walked = 32 then (part.high - part.low) / (w.last - part.low)::numeric else 1 end as wanted
      from next
      cross join generate_series(0, 15) as i
      cross join lateral (
        select next.last + (_horizon - next.last) * i / 16 as low, next.last + (_horizon - next.last) * (i + 1) / 16 as high
      ) as part
      cross join lateral walk(
        _whole, _categories[next.n], part.low, part.high, 32, _types, case when _whole then _categories end, _apart
      ) as w
      where next.walked = next.most
    )
    select (select sum(next.wanted) from next) + coalesce(round(sum(sample.wanted)), 0), coalesce(bool_or(sample.is_estimate), false)
    into lag, lag_is_estimate from sample;
  end if;

  -- Of each parked stream: which of its events comes next, and, where it is on its way back, up to where that is lag.
  select count(*) into streams from parked_events p where p.subscription = _name;
  parked := 0;
  parked_is_estimate := false;
  if streams > 0 then
    with looked_at as materialized (
      select p.category, p.stream_id, r.first, r.final,
             case when p.replaying then version_at(
               p.category, p.stream_id, _reached[1 + stream_hash(p.category, p.stream_id) % cardinality(_reached)]
             ) end as passed
      from (
        select p.category, p.stream_id, p.position, p.replaying from parked_events p where p.subscription = _name
        order by stream_hash(p.category, p.stream_id) limit _most / 10 -- as good as at random
      ) as p
      cross join lateral parked_range(p.category, p.stream_id, p.position) as r
    )
    select count(*) as streams, bool_or(waiting.is_estimate or back.is_estimate) as is_estimate,
           sum(waiting.events) as waiting, max(waiting.events) as most_waiting,
           sum(back.events) as back, max(back.events) as most_back
    into _count
    from (select _most / greatest(1, least(streams, _most / 10)) as most) as each
    cross join looked_at s
    cross join lateral count_versions(s.category, s.stream_id, s.first, s.final, _types, each.most) as waiting
    cross join lateral count_versions(s.category, s.stream_id, s.first, s.passed, _types, each.most) as back;
    parked := _count.waiting;
    parked_is_estimate := _count.is_estimate or _count.streams < streams;
    if _count.streams < streams then
      -- The longest stream is left out of the estimate: it may be an exception.
      parked := parked
        + round((_count.waiting - _count.most_waiting) * (streams - _count.streams) / greatest(_count.streams - 1, 1));
      _count.back := _count.back
        + round((_count.back - _count.most_back) * (streams - _count.streams) / greatest(_count.streams - 1, 1));
    end if;
    lag := lag + _count.back;
    lag_is_estimate := lag_is_estimate or parked_is_estimate and _count.back > 0;
  end if;
  -- What is not known to be nothing must not look like it.
  if lag_is_estimate and lag = 0 then
    lag := 1;
  end if;
end
$$;

-- How many committed events of a subscription lie beyond its _horizon, where an open append holds them back, and for how many
-- ms the first one has waited. _settled: the last committed event of the store; if the horizon has come to it, nothing is held
-- back. No more than _most events a category are counted, and no more than the _lag.
create function held_back(
  _subscription subscriptions, _horizon bigint, _settled bigint, _head bigint, _lag bigint, _most bigint,
  out events bigint, out ms bigint
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_custom_plan
as $$
declare
  _categories constant text[] := _subscription.categories;
  _types      constant text[] := _subscription.types;
  _stream_id  constant text   := _subscription.stream_id;
  _whole      constant boolean := _categories is null or cardinality(_categories) > 100; -- as in counts_of
  _names      constant text[] := case when _whole then array[null::text] else _categories end;
begin
  events := 0;
  ms := 0;
  if _lag = 0 or _horizon >= _settled then
    return;
  end if;
  if _stream_id is not null then
    select c.events into events
    from count_versions(
      _categories[1], _stream_id,
      1 + version_at(_categories[1], _stream_id, _horizon), version_at(_categories[1], _stream_id, _head), _types, _most
    ) as c;
  else
    select coalesce(sum(w.wanted), 0) into events
    from unnest(_names) as name
    cross join lateral walk(_whole, name, _horizon, _head, _most, _types, case when _whole then _categories end, null) as w;
  end if;
  events := least(events, _lag);
  if events > 0 then
    ms := (
      select greatest(trunc(extract(epoch from clock_timestamp() - min(first.recorded_at)) * 1000), 0)
      from unnest(_names) as name
      cross join lateral (
        (select e.recorded_at from events e
         where _whole and e.position > _horizon and e.position <= _head order by e.position limit 1)
        union all
        (select e.recorded_at from events e
         where not _whole and e.category = name and e.position > _horizon and e.position <= _head
         order by e.position limit 1)
      ) as first
    );
    ms := coalesce(ms, 0);
  end if;
end
$$;

-- The events of a stream that is set aside, of these types.
create function set_aside(_category text, _stream_id text, _position bigint, _types text[])
returns table (
  "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language sql stable
begin atomic
  select e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata from events e
  where e.category = _category and e.stream_id = _stream_id
    and e.version >= (select r.first from parked_range(_category, _stream_id, _position) as r)
    and e.position + 0 >= _position
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
      from set_aside(_parked.category, _parked.stream_id, _parked.position, _types) e,
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
    returning p.category, p.stream_id, p.position
  ), ranges as materialized (
    select b.category, b.stream_id, r.first, r.final
    from put_back b cross join lateral parked_range(b.category, b.stream_id, b.position) as r
  )
  select sum(c.events) into _count
  from ranges r
  cross join lateral count_versions(r.category, r.stream_id, r.first, r.final, _types, null) as c;
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

-- Change what is in _changes: {"categories": [...] or null, "types": [...] or null, "partitions": n}. Only while nobody
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
