-- The same for one event, which is what a store with few appends gets: without arrays and JSON to take apart it takes half the time.
--
--   _careful  true: a race that is lost raises nothing, so that a caller's own transaction survives it without a
--             subtransaction (more than 64 of them in one slow everybody down)
--
-- Mostly it is the first append of its transaction. Then it does by itself what announce() and the trigger appended() would do, in
-- the same order, for a third less: it announces its category, checks what was written, and notifies. The flag '!!' tells the
-- trigger so. If there is anything else to do, or what was written is unusual (a trigger of others may have changed it),
-- the functions do it as for every other insert.
--
-- What counts here is how many functions and operators are called, not what they do: for each of them PostgreSQL prepares a step
-- anew in every transaction.
create or replace function append_one(
  _category text, _stream_id text, _expected int, _lookup boolean, _careful boolean, _id uuid, _type text, _data json, _metadata json,
  out outcome text, out version int, out "position" bigint, out recorded_at bigint
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _last    int;     -- the version of the stream's last event
  _lost    int;     -- the version that a careful try did not get
  _alone   boolean; -- this transaction has announced nothing yet
  _key     int;
  _head    bigint;
  _low     int;     -- its low bits
  _same    boolean;
  _fine    boolean; -- it was alone, and what was written is as it should be
  _until   bigint;  -- when coalescing ends
  _channel text;
  _text    text;    -- the position
  _void    text;    -- an assignment is evaluated in place, where PERFORM would run a query
begin
  loop
    -- Only what has a transaction id can have announced anything. The head is null in a new store, and for a role that may not know.
    select coalesce((
             select e.version from events e
             where e.category = _category and e.stream_id = _stream_id order by e.version desc limit 1
           ), -1),
           pg_current_xact_id_if_assigned() is null, category_key(_category), h.head, h.head::bit(32)::int
    into _last, _alone, _key, _head, _low
    from (select pg_sequence_last_value('events_position_seq') as head offset 0) as h;
    if _lookup then
      select (x.category, x.stream_id, x.type) = (_category, _stream_id, _type) and same_json(x.data, _data)
      into _same from events x where x.id = _id;
      if found then
        outcome := case when _same then 'deduplicated' else 'duplicate' end;
        version := null;
        return;
      end if;
    end if;
    if _expected <> _last then
      if not (_expected = -2 or _expected = -3 and _last >= 0) then
        outcome := 'conflict';
        version := _last;
        return;
      end if;
    end if;
    if _last >= 2147483646 then
      perform refuse_full(_category, _stream_id, _last, 1);
    end if;

    _alone := _alone and _head is not null;
    if _alone then
      _void := concat(
        pg_advisory_xact_lock_shared(store_key(), _low), pg_advisory_xact_lock_shared(_key, _low),
        set_config(announcement_setting(), concat('!!#', pg_current_xact_id(), '#|', _key, '=', _head, '|'), true)
      );
    else
      _void := announce(_category, '!');
    end if;
    if _careful then
      insert into events (id, version, category, stream_id, type, data, metadata)
      values (_id, _last + 1, _category, _stream_id, _type, _data, _metadata)
      on conflict do nothing
      returning 'appended', events.version, events.position, (date_part('epoch', events.recorded_at) * 1000)::bigint,
        _alone and events.category = _category and events.metadata -> '$tags' is null
          and events.position > _head and events.position <= least(last_position(), _head + 4294967295, 9007199254740991)
          and well_formed(events.category, events.stream_id, events.type, events.version, events.recorded_at, events.data, events.metadata),
        pg_sequence_last_value('coalescing_until'), concat(current_schema(), '.', _category), events.position::text
      into outcome, version, position, recorded_at, _fine, _until, _channel, _text;
    else
      insert into events (id, version, category, stream_id, type, data, metadata)
      values (_id, _last + 1, _category, _stream_id, _type, _data, _metadata)
      returning 'appended', events.version, events.position, (date_part('epoch', events.recorded_at) * 1000)::bigint,
        _alone and events.category = _category and events.metadata -> '$tags' is null
          and events.position > _head and events.position <= least(last_position(), _head + 4294967295, 9007199254740991)
          and well_formed(events.category, events.stream_id, events.type, events.version, events.recorded_at, events.data, events.metadata),
        pg_sequence_last_value('coalescing_until'), concat(current_schema(), '.', _category), events.position::text
      into outcome, version, position, recorded_at, _fine, _until, _channel, _text;
    end if;

    if _fine then
      if _until > 0 then
        if is_coalescing() then
          return;
        end if;
      end if;
      if octet_length(_channel) > 63 then
        _channel := channel_of(current_schema(), _category);
      end if;
      _void := concat(pg_notify(_channel, _text), pg_notify(current_schema(), _text));
      return;
    end if;

    if not _alone then
      _void := done_inserting();
    end if;
    if append_one.position is not null then
      if _alone then
        perform settle_one(append_one.position);
      end if;
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
