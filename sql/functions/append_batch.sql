-- Append a batch of requests, each with its own outcome.
--
--   _category, _stream_id  the distinct streams of the batch
--   _stream                of each request, in order: the number of its stream in these, from 1
--   _size                  of each request: how many events
--   _expected              of each request: the version that its stream's last event must have; -1 no stream,
--                          -2 any, -3 the stream exists
--   _atomic                true: all requests or none
--   _lookup                true: ids may be known already, from an earlier try or an earlier caller
--   _events                [{"r": request, "n": 0, 1, 2 ... in the request, "i": id, "t": type, "d": data, "m": metadata}, ...]
--
-- Of each request comes back its outcome:
--   appended      version = the first event's
--   conflict      version = what the stream's last event has; -1 no stream
--   deduplicated  all ids are known (_atomic: of all requests), with the same stream, type and data
--   duplicate     duplicate = an id that is known otherwise, or as part of another call
--   aborted       good by itself, but _atomic and another was not
-- and of the batch: the positions of all appended events in order, and their time in milliseconds since 1970.
--
-- Requests for one stream are applied one after the other. A race lost to another transaction raises unique_violation:
-- run the batch again, what it lost to is visible then.
create or replace function append_batch(
  _category text[], _stream_id text[], _stream int[], _size int[], _expected int[], _atomic boolean, _lookup boolean,
  _events json,
  out outcome text[], out version int[], out duplicate uuid[], out positions bigint[], out recorded_at bigint
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _now     constant timestamptz := clock_timestamp();
  _last    int[];      -- of each stream: the version of its last event, so far
  _count   int := 0;   -- of the events to insert
  _refused boolean := false;
  _s       int;
  _known   record;
  _name    text;
  _void    text;       -- an assignment is evaluated in place, where PERFORM would run a query
begin
  recorded_at := (date_part('epoch', _now) * 1000)::bigint;
  outcome := array_fill(null::text, array[cardinality(_stream)]);
  version := array_fill(null::int, array[cardinality(_stream)]);
  duplicate := array_fill(null::uuid, array[cardinality(_stream)]);

  if cardinality(_category) = 1 then
    select coalesce((
      select array[e.version] from events e
      where e.category = _category[1] and e.stream_id = _stream_id[1] order by e.version desc limit 1
    ), '{-1}') into _last;
  else
    select array_agg(coalesce((
      select e.version from events e
      where e.category = s.category and e.stream_id = s.stream_id order by e.version desc limit 1
    ), -1) order by s.n) into _last
    from unnest(_category, _stream_id) with ordinality as s (category, stream_id, n);
  end if;

  -- After the versions: if another call wrote these ids meanwhile, it is found here, before its version is taken for a conflict.
  if _lookup then
    for _known in
      select e.r,
             bool_and(coalesce(was.same, false)) as same,
             (array_agg(e.i) filter (where was.same is not null))[1] as id,
             (array_agg(e.i) filter (where not was.same))[1] as other
      from json_to_recordset(_events) as e (r int, i uuid, t text, d json)
      left join lateral (
        select (x.category, x.stream_id, x.type) = (_category[_stream[e.r]], _stream_id[_stream[e.r]], e.t)
               and same_json(x.data, coalesce(e.d, 'null')) as same
        from events x where x.id = e.i
      ) as was on true
      group by e.r having count(was.same) > 0
    loop
      outcome[_known.r] := case when _known.same then 'deduplicated' else 'duplicate' end;
      duplicate[_known.r] := coalesce(_known.other, _known.id);
    end loop;
    -- A group is one call: where only some of its ids are known, it is not the call that wrote them.
    if _atomic and array_position(outcome, null) is not null then
      outcome := array_replace(outcome, 'deduplicated', 'duplicate');
    end if;
  end if;

  for _r in 1 .. cardinality(_stream) loop
    _s := _stream[_r];
    if outcome[_r] is not null then
      _refused := _refused or outcome[_r] = 'duplicate';
    elsif _expected[_r] in (-2, _last[_s]) or _expected[_r] = -3 and _last[_s] >= 0 then
      if _last[_s] > 2147483646 - _size[_r] then
        perform refuse_full(_category[_s], _stream_id[_s], _last[_s], _size[_r]);
      end if;
      outcome[_r] := 'appended';
      version[_r] := _last[_s] + 1;
      _last[_s] := _last[_s] + _size[_r];
      _count := _count + _size[_r];
    else
      outcome[_r] := 'conflict';
      version[_r] := _last[_s];
      _refused := true;
    end if;
  end loop;

  if _atomic and _refused then
    outcome := array_replace(outcome, 'appended', 'aborted');
    return;
  end if;
  if _count = 0 then
    return;
  end if;

  _name := null;
  for _r in 1 .. cardinality(_stream) loop
    if outcome[_r] = 'appended' and _category[_stream[_r]] is distinct from _name then
      _name := _category[_stream[_r]];
      _void := announce(_name, '!');
    end if;
  end loop;

  -- One scan of one function: rows take their positions in the order of _events.
  with appended as (
    insert into events (recorded_at, id, version, category, stream_id, type, data, metadata)
    select _now, e.i, append_batch.version[e.r] + e.n, _category[_stream[e.r]], _stream_id[_stream[e.r]],
           e.t, coalesce(e.d, 'null'), coalesce(e.m, '{}')
    from json_to_recordset(_events) as e (r int, n int, i uuid, t text, d json, m json)
    where outcome[e.r] = 'appended'
    returning position
  )
  select array_agg(position) into positions from appended;

  _void := done_inserting();

  if cardinality(positions) is distinct from _count then
    raise exception 'only % of % events were written: a trigger on events keeps rows back', coalesce(cardinality(positions), 0), _count
      using errcode = 'MW008';
  end if;
end
$$;
