-- Erases a stream: the data of its events is removed. What remains is that they happened, when, and in which order. So versions
-- have no gaps, and no checkpoint or reader is disturbed.
--
-- An erased event has the data {} and the metadata {"erased":true}. After the last one, a tombstone is appended: an event of type
-- $erased with the metadata {"tombstone":true}. Subscribers get it like any other event.
--
-- It needs UPDATE on these two columns. That right allows to empty events and nothing else (refuse_rewrite).
--
-- Erase a stream, from any language:
--   select * from meowmx.erase_stream('customer', '42', 'asked for it')
-- Returns how many events were emptied, and the tombstone: the new one; if there was nothing to empty, the one of the last
-- erasure; or none.
--
-- It reads the last version first, then empties all events, and then appends the tombstone after that version. If another append
-- came in between, this fails; then the added events are emptied, too, and it tries again. Events above that version are left to the
-- next round: their tags have to be read before they are emptied. It waits for appends that are under way. So
-- each event of the stream is read once, unless others append to the stream meanwhile.
create or replace function erase_stream(_category text, _stream_id text, _reason text default null, out erased bigint, out tombstone events)
language plpgsql
set search_path from current
as $$
declare
  _id      constant uuid := gen_random_uuid();
  _setting constant text := coalesce(current_setting('meowmx.maintenance', true), '');
  _last    int; -- as of before the update
  _emptied int; -- up to this version all events are
  _count   bigint;
  _outcome text;
begin
  if not may_erase() then
    raise exception 'permission denied to erase: that takes UPDATE of data and metadata on events, of error on parked_events and discarded_events, DELETE on snapshots, event_tags and timers, INSERT on tombstones, and to append'
      using errcode = 'insufficient_privilege';
  end if;

  -- Before the events, because a timer that fires locks itself first, and then appends.
  delete from timers t where t.category = _category and t.stream_id = _stream_id;
  erased := 0;
  loop
    _emptied := coalesce(_last, -1);
    select max(e.version) into _last from events e where e.category = _category and e.stream_id = _stream_id;
    perform set_config('meowmx.maintenance', 'on', true);
    if exists (select from event_tags) then -- otherwise there is no reason to read the events twice
      delete from event_tags t
      using (
        select e.position, unnest(tags_of(e.metadata)) as tag from events e
        where e.category = _category and e.stream_id = _stream_id and e.version > _emptied and e.version <= _last
      ) as of
      where t.tag = of.tag and t.position = of.position;
    end if;
    update events e set data = '{}', metadata = '{"erased":true}'
    where e.category = _category and e.stream_id = _stream_id and e.version > _emptied and e.version <= _last
      and not is_emptied(e.*) and not is_tombstone(e.*);
    get diagnostics _count = row_count;
    perform set_config('meowmx.maintenance', _setting, true);
    erased := erased + _count;
    if erased = 0 then
      select * into tombstone from events e
      where e.category = _category and e.stream_id = _stream_id and is_tombstone(e.*) order by e.version desc limit 1;
      return;
    end if;
    perform set_config('meowmx.maintenance', 'tombstones', true);
    select a.outcome into strict _outcome from append_one(
      _category, _stream_id, coalesce(_last, -1), false, true, _id, '$erased',
      json_strip_nulls(json_build_object('events', erased, 'reason', _reason)), '{"tombstone":true}'
    ) as a;
    perform set_config('meowmx.maintenance', _setting, true);
    exit when _outcome = 'appended';
  end loop;
  select * into strict tombstone from events e where e.id = _id;

  perform pg_advisory_xact_lock(erasure_key(_category, _stream_id));
  delete from snapshots s where s.category = _category and s.stream_id = _stream_id;
  delete from timers t where t.category = _category and t.stream_id = _stream_id;
  update parked_events p set error = '' where p.category = _category and p.stream_id = _stream_id and p.error <> '';
  update discarded_events d set error = '' where d.category = _category and d.stream_id = _stream_id and d.error <> '';
end
$$;
