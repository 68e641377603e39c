-- Whether two are the same value: key order and white space aside. What jsonb can't hold (by a raw INSERT: \u0000, half a
-- surrogate pair) is the same as nothing but itself.
create function same_json(_one json, _other json) returns boolean
language plpgsql immutable
set search_path from current
as $$
begin
  return _one::text = _other::text or _one::jsonb = _other::jsonb;
exception when data_exception or program_limit_exceeded then
  return false;
end
$$;

-- A stream has no version left for so many events. Nothing of the call is written.
create function refuse_full(_category text, _stream_id text, _last int, _size int) returns void
language plpgsql
as $$
begin
  raise exception 'stream "%/%" is at version %, and the last possible version is 2147483646: there is no room for % more',
    _category, _stream_id, _last, _size using errcode = 'MW009', hint = 'Go on in a new stream.';
end
$$;

-- The number that stands for what append() is told to expect.
create function expected_version(_expected text) returns int
language plpgsql immutable
as $$
begin
  case
    when _expected = 'any' then return -2;
    when _expected = 'stream-exists' then return -3;
    when _expected in ('no-stream', '-1') then return -1;
    when _expected ~ '^[0-9]{1,10}$' and _expected::bigint <= 2147483647 then return _expected;
    else
      raise exception 'the expected version must be ''any'', ''no-stream'', ''stream-exists'' or a version from 0 to 2147483647, got %',
        coalesce(quote_literal(left(_expected, 80)), 'null') using errcode = 'invalid_parameter_value';
  end case;
end
$$;

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
--   duplicate     duplicate = an id that is known otherwise, or in other company
--   aborted       good by itself, but _atomic and another was not
-- and of the batch: the positions of all appended events in order, and their time in milliseconds since 1970.
--
-- Requests for one stream are applied one after the other. A race lost to another transaction raises unique_violation:
-- run the batch again, what it lost to is visible then.
create function append_batch(
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

  -- After the versions: whoever wrote these ids meanwhile is found here, before his version is taken for a conflict.
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

-- The same for one event, which is what a quiet store is given: without arrays and JSON to take apart it takes half the time.
--
--   _careful  true: a race that is lost raises nothing, so that a caller's own transaction survives it without a
--             subtransaction (more than 64 of them in one slow everybody down)
create function append_one(
  _category text, _stream_id text, _expected int, _lookup boolean, _careful boolean, _id uuid, _type text, _data json, _metadata json,
  out outcome text, out version int, out "position" bigint, out recorded_at bigint
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _now  constant timestamptz := clock_timestamp();
  _last int;      -- the version of the stream's last event
  _lost int;      -- the version that a careful try did not get
  _same boolean;
  _void text;
begin
  recorded_at := (date_part('epoch', _now) * 1000)::bigint;
  loop
    select e.version into _last
    from events e where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1;
    if not found then
      _last := -1;
    end if;
    if _lookup then
      select (x.category, x.stream_id, x.type) = (_category, _stream_id, _type) and same_json(x.data, _data)
      into _same from events x where x.id = _id;
      if found then
        outcome := case when _same then 'deduplicated' else 'duplicate' end;
        version := null;
        return;
      end if;
    end if;
    if not (_expected in (-2, _last) or _expected = -3 and _last >= 0) then
      outcome := 'conflict';
      version := _last;
      return;
    elsif _last >= 2147483646 then
      perform refuse_full(_category, _stream_id, _last, 1);
    end if;

    version := _last + 1;
    _void := announce(_category, '!');
    if _careful then
      insert into events (recorded_at, id, version, category, stream_id, type, data, metadata)
      values (_now, _id, append_one.version, _category, _stream_id, _type, _data, _metadata)
      on conflict do nothing
      returning events.position into append_one.position;
    else
      insert into events (recorded_at, id, version, category, stream_id, type, data, metadata)
      values (_now, _id, append_one.version, _category, _stream_id, _type, _data, _metadata)
      returning events.position into append_one.position;
    end if;
    _void := done_inserting();

    if append_one.position is not null then
      outcome := 'appended';
      return;
    end if;
    if not _careful then
      raise exception 'an event was not written: a trigger on events keeps rows back' using errcode = 'MW008';
    end if;
    -- What it was lost to can be seen now. Where nothing is to be seen it was no race, but an index or a trigger of
    -- others: next time let it say so.
    _lookup := true;
    _careful := _last is distinct from _lost;
    _lost := _last;
  end loop;
end
$$;

-- append_batch for a caller's own transaction: a race that is lost after something was written undoes just this call,
-- and is run again, so that the caller hears of a conflict in a transaction that is still usable.
create function append_guarded(
  _category text[], _stream_id text[], _stream int[], _size int[], _expected int[], _atomic boolean, _lookup boolean,
  _events json,
  out outcome text[], out version int[], out duplicate uuid[], out positions bigint[], out recorded_at bigint
)
language plpgsql
set search_path from current
as $$
declare
  _constraint text;
begin
  loop
    begin
      select * into strict outcome, version, duplicate, positions, recorded_at
      from append_batch(_category, _stream_id, _stream, _size, _expected, _atomic, _lookup, _events);
      return;
    exception when unique_violation then
      get stacked diagnostics _constraint = constraint_name;
      -- An index of others, or a snapshot that will never see who won.
      if _constraint not in ('events_id', 'events_version')
         or current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise;
      end if;
      _lookup := true;
    end;
  end loop;
end
$$;

-- The work of append(), which is the next function. _store: the table of events that append() belongs to. If the schema was renamed,
-- names lead elsewhere, and nothing is written.
create function append_to(_store regclass, _category text, _stream_id text, _events json, _expected text)
returns setof events
language plpgsql
set search_path from current
as $$
declare
  _list    constant json := case json_typeof(_events) when 'array' then _events else json_build_array(_events) end;
  _size    constant int := json_array_length(_list);
  _version int; -- the number that stands for _expected
  _first   constant json := _list -> 0;
  _ready   json;
  _ids     uuid[];
  _outcome text;
  _last    int;
  _known   uuid;
begin
  if to_regclass('events') is distinct from _store then
    raise exception 'schema "%" was renamed or copied, and its functions still work in schema %',
      (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = _store),
      split_part(current_setting('search_path'), ', pg_temp', 1)
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  _version := expected_version(_expected);
  if _size = 0 then
    return;
  elsif _size = 1 then
    _known := (_first ->> 'id')::uuid;
    _ids := array[coalesce(_known, gen_random_uuid())];
    select outcome, version into strict _outcome, _last from append_one(
      _category, _stream_id, _version, _known is not null, true, _ids[1], _first ->> 'type', coalesce(_first -> 'data', 'null'),
      case when _first ->> 'metadata' is null then '{}' else _first -> 'metadata' end
    );
  else
    select json_agg(json_build_object('r', 1, 'n', n - 1, 'i', id, 't', e ->> 'type', 'd', e -> 'data', 'm', e -> 'metadata') order by n),
           array_agg(id order by n)
    into _ready, _ids
    from (
      select e, n, coalesce((e ->> 'id')::uuid, gen_random_uuid()) as id from json_array_elements(_list) with ordinality as l (e, n)
    ) as given;

    if cardinality(_ids) > (select count(distinct id) from unnest(_ids) as id) then
      raise exception 'an event id occurs twice in one call: %', _ids using errcode = 'invalid_parameter_value';
    end if;

    select outcome[1], version[1], duplicate[1] into strict _outcome, _last, _known from append_guarded(
      array[_category], array[_stream_id], array[1], array[_size], array[_version], true, true, _ready
    );
  end if;

  case _outcome
    when 'conflict' then
      raise exception 'stream "%/%" is at version %, expected %', _category, _stream_id, _last, _expected
        using errcode = 'MW006';
    when 'duplicate' then
      raise exception 'event id % is already recorded with another stream, type, data or company', _known
        using errcode = 'MW007';
    else
      return query select e.* from events e where e.id = any (_ids) order by e.version;
  end case;
end
$$;

-- Append to one stream, in plain SQL, for every other language:
--   select * from meowmx.append('order', '42', '[{"type": "OrderPlaced", "data": {"price": 9}}]', 'no-stream')
-- _events    one object or an array of {"type", "data", "metadata", "id"}; metadata and id may be left out
-- _expected  'any', 'no-stream', 'stream-exists', or the version that the stream's last event must have
-- Returns the events as recorded. Raises MW006 for a version conflict, MW007 for an id that is known otherwise, MW013 if the schema
-- was renamed or copied and is not mended yet: the body, unlike what search_path finds, is bound to this schema.
create function append(_category text, _stream_id text, _events json, _expected text default 'any')
returns setof events
language sql
begin atomic
  select a from append_to('events'::regclass, _category, _stream_id, _events, _expected) as a;
end;
