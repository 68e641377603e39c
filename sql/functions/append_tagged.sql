-- Append events with tags, or under conditions. It does what append_batch does, and
--   1. locks the tags: _exclusive, one of each item of the conditions, and _shared, all that are written;
--   2. in a later statement, which sees all that was committed before the locks were granted, checks the conditions;
--   3. only then appends, and so takes positions.
--
--   _careful     true: in a caller's own transaction, which has to survive a race that is lost
--   _conditions  [{"r": request, "query": [...], "horizon": 7, "seen": [9, 12]}, ...]: first_unseen says what a query is
--
-- Without _wait, and if somebody else has locked one of the tags, all requests are 'busy', and nothing is done.
--
-- Of a request whose condition does not hold comes back the outcome 'failed', and in `failed` its first event that was not seen. If all
-- its ids are known already, it is a repeat, and its condition does not count. No two requests of a batch may lock the same tag,
-- one of them exclusively: none sees what the others write.
create or replace function append_tagged(
  _category text[], _stream_id text[], _stream int[], _size int[], _expected int[], _atomic boolean, _lookup boolean,
  _events json, _careful boolean, _exclusive text[], _shared text[], _conditions json, _wait boolean,
  out outcome text[], out version int[], out duplicate uuid[], out positions bigint[], out recorded_at bigint, out failed json
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _failed jsonb;
  _first  bigint;
  _one    record;
  _void   text;
begin
  if _conditions is not null and current_setting('transaction_isolation') <> 'read committed' then
    _void := refuse_isolation();
  end if;

  if not lock_tags(_exclusive, _shared, _wait) then
    outcome := array_fill('busy'::text, array[cardinality(_stream)]);
    return;
  end if;

  if _conditions is not null then
    for _one in
      select c.r, c.query, c.horizon, array(select json_array_elements_text(c.seen)::bigint) as seen
      from json_to_recordset(_conditions) as c (r int, query json, horizon bigint, seen json)
    loop
      _void := refuse_ahead(_one.horizon, _one.seen);
      _first := first_unseen(_one.query, _one.horizon, _one.seen);
      if _first is not null then
        _expected[_one.r] := -4; -- no version is that: the request is refused, unless its ids are known
        _failed := coalesce(_failed, '{}') || jsonb_build_object(_one.r, event_at(_first));
      end if;
    end loop;
    failed := _failed;
  end if;

  if cardinality(_shared) > 0 then
    _void := allow_tags();
  end if;
  if _careful then
    select a.outcome, a.version, a.duplicate, a.positions, a.recorded_at
    into strict append_tagged.outcome, append_tagged.version, append_tagged.duplicate, append_tagged.positions, append_tagged.recorded_at
    from append_guarded(_category, _stream_id, _stream, _size, _expected, _atomic, _lookup, _events) as a;
  else
    select a.outcome, a.version, a.duplicate, a.positions, a.recorded_at
    into strict append_tagged.outcome, append_tagged.version, append_tagged.duplicate, append_tagged.positions, append_tagged.recorded_at
    from append_batch(_category, _stream_id, _stream, _size, _expected, _atomic, _lookup, _events) as a;
  end if;
  if cardinality(_shared) > 0 then
    _void := done_tagging();
    insert into event_tags (tag, position)
    select tag, e.position from events e cross join lateral unnest(tags_of(e.metadata)) as tag
    where e.position = any (positions) order by tag;
  end if;

  for _r in 1 .. cardinality(_stream) loop
    if _expected[_r] = -4 and outcome[_r] = 'conflict' then
      outcome[_r] := 'failed';
    end if;
  end loop;
end
$$;
