-- The horizon is the position up to which the log is complete: no event can still appear at or below it. It is exact, and
-- transactions that append nothing never hold it back.
--
-- It takes three steps, in this order.
--   1. Read the last value of the sequence: the head.
--   2. Read the announcements from pg_locks, and after them the last value of the sequence once more, to rebuild each
--      announced position p: a lock holds only its low 32 bits. The head and the lowest p together limit the horizon.
--   3. In a later statement, which has a later snapshot (READ COMMITTED), find the highest committed position at or below that
--      limit. This is the horizon.
--
-- Why it is correct: an appender that step 2 does not see has either finished or not started. If it has finished, its commit
-- became visible before its locks were released, so step 3 sees its events. If it has not started, it will take positions
-- above the head that step 1 read.
--
-- Why p is right: p was the last value of the sequence before its lock was taken, so it is not above a value that is read
-- after the lock was seen. It is the highest number up to that value with these 32 low bits, as long as the sequence has moved
-- by less than 2^32 since the announcement. (A transaction that appends again after that is refused: 004_notify.sql.)
--
-- Step 3 also makes the horizon safe to keep. A crash can set a sequence back over positions that never committed, and the
-- next event takes one of them. A committed position is never handed out again: its flush wrote the sequence as well.

-- The announcements of all open appends: a row for each lock. A lock counts only if the same transaction also holds the
-- store's lock. One pass over the locks finds this out, for any role may take as many as the server has room for. A join
-- would be a loop inside a loop: the planner takes pg_locks for a single row.
create function announcements()
returns table (owner text, pid int, key int, low bigint)
language sql stable
begin atomic
  select l.owner, l.pid, l.classid::bigint::bit(32)::int, l.objid::bigint
  from (
    select virtualtransaction as owner, k.pid, classid, objid,
           bool_or(classid = 'events'::regclass) over (partition by virtualtransaction) as announces
    from pg_locks k
    where locktype = 'advisory' and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
  ) as l
  where l.announces;
end;

-- The horizons as of now, for all readers at once: a row with key null for what no announcement holds back, and a row for
-- each announced key. A category's horizon is the least of the rows null, -1 and its own key; the store's, of the rows
-- null, -1 and store_key(). `head` is the last position handed out. As long as the head is still `_known`, a horizon that
-- nothing held back, nothing is returned and the locks are not read (0.3 ms, and more with many connections).
create function horizons(_known bigint default null)
returns table (key int, horizon bigint, head bigint)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  _head   bigint;
  _keys   int[];    -- what is announced, by the lowest p, in ascending order
  _bounds bigint[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the horizon needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  if pg_is_in_recovery() then
    raise exception 'a server in recovery has no horizon: advisory locks are not replicated'
      using errcode = 'MW005', hint = 'Read from the primary; load() alone works here.';
  end if;

  _head := last_position();
  if _head = _known then
    return;
  end if;
  -- Sorting out the announcements takes all of them, so the sequence is read after the last of the locks.
  select array_agg(key order by bound), array_agg(bound order by bound) into _keys, _bounds
  from (
    select key, least(_head, min(low + (greatest(last_position() - low, 0) & -4294967296))) as bound
    from announcements() group by key
  ) as held;

  -- Each bound looks for a committed position only down to the bound below it, and takes that one's if there is none. So what
  -- cannot be seen, the rows of an open bulk append, is passed over once, however many keys are announced. (The window goes
  -- through the rows as unnest gives them; to sort them once more costs a tenth of all this.)
  return query
    select key, coalesce(max((
      select position from events
      where position > coalesce(_bounds[n - 1], 0) and position <= bound order by position desc limit 1
    )) over (rows unbounded preceding), 0), _head
    from unnest(_keys || null::int, _bounds || _head) with ordinality as u (key, bound, n);
end
$$;

-- The horizon of one category or of several together, or (none) of the whole store.
create function horizon(variadic _categories text[] default '{}') returns bigint
language sql
set search_path from current
as $$
  select min(horizon) from horizons()
  where key is null or key = -1 or key in (select category_key(name) from unnest(_categories) as name)
    or cardinality(_categories) = 0 and key = store_key()
$$;

-- Whose announcements the horizons wait for: a row for each transaction and category; the oldest transaction first. A
-- category is named by its committed events, at the price of one index probe for each category of the store. The category is
-- null if the transaction holds back every category (`every`), or none that has committed events: then readers of the whole
-- store wait for it, and those of a category that is new.
-- No nested loops: the planner expects a few rows of all of these, and there may be thousands.
create function stallers()
returns table (pid int, application text, database text, since_ms numeric, query text, category text, every boolean)
language sql
set search_path from current
set enable_nestloop = off
as $$
  with recursive held as materialized (
    select distinct owner, pid, key, key = store_key() as of_store from announcements()
  ), names as (
    (select category from events order by category limit 1)
    union all
    select (select e.category from events e where e.category > names.category order by e.category limit 1)
    from names where names.category is not null
  ), waited as (
    -- All hold the store's lock. On its own it is somebody else's lock: the store waits for it, and no category does.
    select distinct h.owner, h.pid, n.category, h.key = -1 as every
    from held h
    left join (select category, category_key(category) as key from names) as n on n.key = h.key
    where not of_store or not exists (select from held o where o.owner = h.owner and not o.of_store)
  )
  select w.pid, a.application_name, current_database(),
         trunc(extract(epoch from coalesce(a.xact_start, p.prepared, a.state_change)) * 1000),
         coalesce(a.query, 'PREPARE TRANSACTION ' || quote_literal(p.gid)), w.category, w.every
  from waited w
  left join pg_stat_activity a on a.pid = w.pid
  left join (
    pg_locks x join pg_prepared_xacts p on p.transaction = x.transactionid and x.locktype = 'transactionid'
  ) on w.pid is null and x.virtualtransaction = w.owner
  order by 4, w.pid, w.category
$$;
