-- Notification coalescing. NOTIFY takes a lock that all commits of the server share, and holds it while it commits. If many
-- transactions append at once, they wait for this lock. Then one process, the publisher, notifies for all: it takes a lease,
-- the trigger (appended.sql) no longer notifies, and the publisher calls publish() every few milliseconds.
--
--   claim_publishing -> renew_publishing(coalescing) -> publish, publish, renew, publish ...
--     -> renew_publishing(not coalescing) -> publish until the horizon has passed the head -> end_publishing
--
-- Why no notification is lost:
-- * The publisher reads the horizon from which it starts before it takes the lease: all events below it were notified.
-- * The lease is visible to everybody before the first append omits its notification: claim and renew are two transactions.
--   So a publisher that dies leaves a lease that expires and is not closed. Its column `published` says up to where events were
--   notified. A process that finds such a lease claims it, and continues from there.
-- * A publisher that ends lets appends notify again first. Then it goes on until the horizon has passed the head of that
--   moment, for an append that omitted its notification may commit much later. Only then it closes the lease.
-- * Each statement requires that the caller still owns the lease, and the expiry is written while the lease's row is locked.
--   A process that has lost the lease changes nothing.
--
-- publish() notifies what became settled since its last call: each category by its own horizon, so that one open append does not
-- hold back the others, and the store by its own. The arguments are the results of the call before; at first '{}', '{}', the
-- position that claim_publishing returned, and 0.
--
--   keys, bounds  the keys that open appends hold back, and at which position, as of horizons()
--   free          the horizon of all other keys
--   head          the last position that was handed out just before
--   settled       the store's horizon
--   held          whether an open append holds that back: if not, nothing below the head is open
--   commits       about how many transactions appended what was notified
create or replace function publish(
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
  _all   bigint := least(free, bounds[array_position(keys, -1)]); -- of a category that no append holds back separately
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
    -- A key that is held back at the same position as before has nothing new below what was free.
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
