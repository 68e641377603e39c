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
-- by less than 2^32 since the announcement. (A transaction that appends again after that is refused: settle.sql.)
--
-- Step 3 also makes the horizon safe to keep. A crash can set a sequence back over positions that never committed, and the
-- next event takes one of them. A committed position is never assigned again, because its commit also flushed the sequence's
-- value to disk.
--
-- It returns the horizons of now, for all readers at once: a row with key null for what no announcement holds back, and a row for
-- each announced key. A category's horizon is the least of the rows null, -1 and its own key; the store's, of the rows
-- null, -1 and store_key(). `head` is the last position handed out. As long as the head is still `_known`, a horizon that
-- nothing held back, nothing is returned and the locks are not read (0.3 ms, and more with many connections).
create or replace function horizons(_known bigint default null)
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

  -- For each bound, a committed position is searched only down to the next lower bound; if there is none, that one's position
  -- is used. So invisible rows, those of an open bulk append, are skipped once, however many keys are announced.
  -- (The window goes through the rows as unnest gives them; to sort them once more costs a tenth of all this.)
  return query
    select key, coalesce(max((
      select position from events
      where position > coalesce(_bounds[n - 1], 0) and position <= bound order by position desc limit 1
    )) over (rows unbounded preceding), 0), _head
    from unnest(_keys || null::int, _bounds || _head) with ordinality as u (key, bound, n);
end
$$;
