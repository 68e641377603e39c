-- The horizon: the position up to which nothing can still appear. Exact, and deaf to strangers' transactions.
--
-- Three steps whose order is everything, each a statement of its own (READ COMMITTED: each with its own snapshot):
--   1. head := the sequence's last value;
--   2. the locks: the least announced p holds the horizon back;
--   3. the highest committed position at or below that bound: the horizon.
-- An appender that step 2 did not see either has ended (its commit was visible before its locks went, so step 3 sees
-- it) or announces later, hence takes positions above the head of step 1.
-- Step 3 also makes the horizon safe to keep: a crash can set a sequence back over positions that never committed,
-- and the next event takes one of them; a committed event's flush carried its sequence along.

-- The horizons as of now, for every reader at once: a row with key null for what nobody holds back, and a row for
-- each announced key. A category's horizon is the least of the rows null, -1 and its own key; the store's, of the rows
-- null, -1 and store_key(). `head` is the last position handed out. Nothing is returned, and the locks (0.3 ms, and
-- more with many connections) are not looked at, while head still is `_known`, a horizon that nothing held back.
create function horizons(_known bigint default null)
returns table (key int, horizon bigint, head bigint)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _head   bigint;
  _keys   int[];
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

  -- A category's lock counts only where the same transaction also holds the store's. The lock carries p's low 32 bits;
  -- p may also be above the head: who announced since that was read holds nothing back below it.
  with locks as materialized (
    select virtualtransaction as owner, classid::bigint::bit(32)::int as first, objid::bigint as low
    from pg_locks
    where locktype = 'advisory' and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
  ), held as (
    select first, min(_head - greatest((_head - low)::bit(32)::int, 0)) as bound
    from locks
    where owner in (select owner from locks where first = store_key())
    group by first
  )
  select array_agg(first), array_agg(bound) into _keys, _bounds from held;

  return query
    select k, coalesce((select position from events where position <= b order by position desc limit 1), 0), _head
    from unnest(_keys || null::int, _bounds || _head) as u (k, b);
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
