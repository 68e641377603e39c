-- Quiet mode. NOTIFY takes a lock that all commits of the server share, and holds it while it commits: where many
-- transactions append at once, that is what they wait for. Then one process, the conductor, notifies for all: it takes a
-- lease, the trigger (004_notify.sql) stays quiet, and the conductor looks every few milliseconds at what became settled.
--
--   claim -> renew, quiet -> ring, ring, renew, ring ... -> renew, aloud -> ring until the horizon passed the head -> close
--
-- What it takes to forget nobody:
-- * The horizon from which the conductor starts is read before the lease is taken: all below it has been notified.
-- * The lease is there for everybody to see before the first append stays quiet: claim and renew are two transactions.
--   So a conductor that dies leaves a lease that expires and is not closed, and `rung`: all at or below it has been
--   notified. Whoever finds that claims it, and goes on from there.
-- * Whoever ends it lets the appends speak first, and then goes on until the horizon has passed the head of that moment:
--   an append that stayed quiet may commit long after. Only then the lease is closed.
-- * All is conditional on the owner, and the expiry is written while the lease's row is locked: who lost it changes nothing.
create table conductor (
  one    boolean primary key default true check (one),
  owner  uuid    not null, -- another one for each turn
  until  bigint  not null, -- now_ms; others may claim it afterwards
  rung   bigint  not null,
  closed boolean not null  -- nothing is left to be notified
);

-- How many appends to this store wait for the lock that NOTIFY takes: that of no database in the catalog of databases. An
-- append is known by the store's announcement. One pass over the locks, grouped by transaction, as in 003_horizon.sql.
create function quiet_waiting() returns int
language sql
set search_path from current
as $$
  select count(*)::int from (
    select from pg_locks
    where locktype = 'object' and database = 0 and classid = 'pg_database'::regclass and objid = 0 and not granted
      or locktype = 'advisory' and objsubid = 2 and classid = 'events'::regclass
         and database = (select oid from pg_database where datname = current_database())
    group by virtualtransaction
    having bool_or(locktype = 'object') and bool_or(locktype = 'advisory')
  ) as waiting
$$;

-- Take the lease, where it is closed or expired. Returns the position from which to ring, or null: another has it.
create function quiet_claim(_owner uuid) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _horizon bigint;
  _rung    bigint;
  _void    text;
begin
  _horizon := horizon(); -- refuses another isolation than read committed
  _void := set_config('synchronous_commit', 'off', true); -- whatever is lost with it was appended later, or is rung twice
  insert into conductor as c (owner, until, rung, closed)
  values (_owner, now_ms() + quiet_ms(), _horizon, false)
  on conflict (one) do update
  set owner = excluded.owner, until = excluded.until, closed = false,
      rung = case when c.closed then _horizon else least(c.rung, _horizon) end
  where c.closed or c.until - now_ms() not between 1 and quiet_ms()
  returning c.rung into _rung;
  return _rung;
end
$$;

-- Keep the lease, with appends that stay quiet as long as it lasts, or speak from now on. False: another has it.
create function quiet_renew(_owner uuid, _rung bigint, _quiet boolean) returns boolean
language plpgsql
set search_path from current
as $$
declare
  _until bigint;
  _void  text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a conductor needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  _void := set_config('synchronous_commit', 'off', true);
  update conductor set until = now_ms() + quiet_ms(), rung = greatest(rung, _rung)
  where owner = _owner and not closed
  returning until into _until;
  if not found then
    return false;
  end if;
  _void := setval('quiet_until', case when _quiet then _until else 0 end);
  return true;
end
$$;

-- Everybody has been notified, and appends speak for themselves. False: another has the lease.
create function quiet_close(_owner uuid) returns boolean
language plpgsql
set search_path from current
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a conductor needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  update conductor set closed = true where owner = _owner and not closed;
  return found;
end
$$;

-- Notify what became settled since the last look: each category by its own horizon, for one open append must not silence
-- the others, and the store by its own. What comes in is what came out of the last look, at first '{}', '{}', the
-- position from which to ring, and 0.
--
--   keys, bounds  whom open appends hold back, and where, as of horizons()
--   free          the horizon of all others
--   head          the last position handed out, as of right before
--   settled       the store's horizon
--   held          whether an open append holds that back: if not, nothing below the head is open
--   commits       about how many transactions appended what was notified
create function quiet_ring(
  inout keys int[], inout bounds bigint[], inout free bigint, inout head bigint,
  out settled bigint, out held boolean, out commits int
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
  _store constant int := store_key();
  _all   bigint := least(free, bounds[array_position(keys, -1)]); -- of a category that nobody holds back by itself
  _keys  int[];
  _bounds bigint[];
  _free  bigint;
  _head  bigint;
  _every bigint;
  _from  bigint;
  _names text[];
  _highs bigint[];
  _void  text;
begin
  commits := 0;
  select array_agg(h.key) filter (where h.key is not null), array_agg(h.horizon) filter (where h.key is not null),
         max(h.horizon) filter (where h.key is null), max(h.head)
  into _keys, _bounds, _free, _head
  from horizons(case when keys = '{}' and free = head then head end) as h;

  if _head is not null then
    _keys := coalesce(_keys, '{}');
    _bounds := coalesce(_bounds, '{}');
    _every := least(_free, _bounds[array_position(_keys, -1)]);
    -- Who is held back where he was has nothing new below what was free.
    select least(free, min(was.bound)) into _from
    from unnest(keys, bounds) as was (key, bound)
    where was.key <> _store
      and not exists (select from unnest(_keys, _bounds) as now (key, bound) where now.key = was.key and now.bound = was.bound);

    -- A later statement, hence a later snapshot, than that of the horizons.
    select array_agg(category), array_agg(high), coalesce(sum(writers), 0) into _names, _highs, commits
    from (
      select e.category, max(e.position) as high, count(distinct e.xmin::text) as writers
      from events e
      left join unnest(_keys, _bounds) as now (key, bound) on now.key = category_key(e.category)
      left join unnest(keys, bounds) as was (key, bound) on was.key = category_key(e.category)
      where e.position > _from and e.position <= _free
        and e.position <= least(_every, now.bound) and e.position > least(_all, was.bound)
      group by e.category
    ) as settled_now;

    for _i in 1 .. coalesce(cardinality(_names), 0) loop
      _void := pg_notify(channel_of(current_schema(), _names[_i]), _highs[_i]::text);
    end loop;
    settled := least(_every, _bounds[array_position(_keys, _store)]);
    if settled > least(_all, bounds[array_position(keys, _store)]) then
      _void := pg_notify(current_schema(), settled::text);
    end if;
    keys := _keys;
    bounds := _bounds;
    free := _free;
    head := _head;
  end if;

  held := _store = any (keys) or -1 = any (keys);
  settled := least(free, bounds[array_position(keys, -1)], bounds[array_position(keys, _store)]);
end
$$;
