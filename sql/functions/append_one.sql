-- The same for one event, which is what a store with few appends gets: without arrays and JSON to take apart it takes half the time.
--
--   _careful  true: a race that is lost raises nothing, so that a caller's own transaction survives it without a
--             subtransaction (more than 64 of them in one slow everybody down)
create or replace function append_one(
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
