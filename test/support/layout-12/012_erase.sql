-- Erasing a stream: what its events say is taken out of them; that they happened, when, and in which order, stays. So
-- versions stay dense, and no checkpoint and no reader is disturbed.
--
-- An event that is emptied has the data {} and the metadata {"erased":true}. Behind the last of them comes a tombstone:
-- an event of the type $erased, with the metadata {"tombstone":true}, which subscribers get like any other.
--
-- Who may: whoever has UPDATE of these two columns, which is a right to empty events and no more (refuse_rewrite).

-- Which events are tombstones, by id. Type and metadata alone would not tell: before types that begin with $ were reserved,
-- anybody could append an event that looks like one. Only who may erase can write here.
create table tombstones (id uuid primary key);

create function may_erase() returns boolean
language sql stable
return has_column_privilege('events', 'data', 'update') and has_column_privilege('events', 'metadata', 'update');

create function is_emptied(_event events) returns boolean
language sql stable
return _event.data::text = '{}' and _event.metadata::text = '{"erased":true}';

create function is_tombstone(_event events) returns boolean
language sql stable
return _event.type = '$erased' and exists (select from tombstones t where t.id = _event.id);

-- Whether this transaction may write this event of a reserved type, and note it down: one that erases a stream, or copies one
-- that was erased elsewhere. Both set meowmx.maintenance = 'tombstones', which does nothing for who may not erase.
create function accept_tombstone(_event events) returns boolean
language plpgsql
as $$
begin
  if current_setting('meowmx.maintenance', true) is distinct from 'tombstones' or not may_erase() or _event.type <> '$erased' then
    return false;
  elsif is_emptied(_event) then
    return true; -- it once looked like a tombstone, and was none
  elsif _event.metadata::text = '{"tombstone":true}'
        and _event.data::text ~ E'^\\{"events":\\d+(,"reason":"([^"\\\\]|\\\\.)*")?\\}$' then -- as erase_stream writes it
    insert into tombstones (id) values (_event.id) on conflict do nothing;
    return true;
  end if;
  return false;
end
$$;

-- The right to columns of events is the right to empty them. Who may change the table as a whole may restore, too. What
-- empties an event never calls this: a trigger that is called before each row costs an erasure a quarter of its time.
create function refuse_rewrite() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if has_table_privilege('events', 'update') then
    return null;
  end if;
  raise exception 'update on %.events refused: this role may empty events, not rewrite them', tg_table_schema
    using errcode = 'MW001';
end
$$;

create trigger empty_only
  after update on events
  for each row when (not is_emptied(new)) execute function refuse_rewrite();

alter table events enable always trigger empty_only;

-- Whoever erases a stream waits for the snapshots of it that are being saved, and they for him. An advisory lock of the
-- one-integer kind; 1,024 of them a store, so that a transaction that saves thousands does not fill the lock table.
create function erasure_key(_category text, _stream_id text) returns bigint
language sql stable
return ('events'::regclass::oid::bigint << 10)
       + (hashtextextended(_category || '/' || _stream_id, 'events'::regclass::oid::bigint) & 1023);

-- A state that was folded before an erasure is not to be remembered after it. (The lock first: the query sees what was
-- committed until then.)
create function forget_erased() returns trigger
language plpgsql
set search_path from current
as $$
begin
  perform pg_advisory_xact_lock_shared(erasure_key(new.category, new.stream_id));
  if exists (
    select from events e
    where e.category = new.category and e.stream_id = new.stream_id and e.version > new.version and e.type = '$erased'
  ) then
    return null;
  end if;
  return new;
end
$$;

create trigger forget_erased
  before insert on snapshots
  for each row execute function forget_erased();

-- Until the end of this transaction, take copies of tombstones from who may erase. A restore takes all as it is, anyway.
create function allow_tombstones() returns void
language plpgsql
as $$
begin
  if current_setting('meowmx.maintenance', true) is distinct from 'on' then
    perform set_config('meowmx.maintenance', 'tombstones', true);
  end if;
end
$$;

-- Erase a stream, from any language:
--   select * from meowmx.erase_stream('customer', '42', 'asked for it')
-- Returns how many events were emptied, and the tombstone: the one that was appended now; where there was nothing to
-- empty, that of the time before; or none.
--
-- The last version is looked up first, then all events are emptied, and the tombstone is appended behind that version. An
-- append that came in between makes it fail: then what was added is emptied, and it is tried again. An append that is under
-- way is waited for. So each event of the stream is read once, unless others append to it meanwhile.
create function erase_stream(_category text, _stream_id text, _reason text default null, out erased bigint, out tombstone events)
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
    raise exception 'permission denied to erase: that takes UPDATE of data and metadata on events, of error on parked_events, DELETE on snapshots, INSERT on tombstones, and to append'
      using errcode = 'insufficient_privilege';
  end if;

  erased := 0;
  loop
    _emptied := coalesce(_last, -1);
    select max(e.version) into _last from events e where e.category = _category and e.stream_id = _stream_id;
    perform set_config('meowmx.maintenance', 'on', true);
    update events e set data = '{}', metadata = '{"erased":true}'
    where e.category = _category and e.stream_id = _stream_id and e.version > _emptied
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
  update parked_events p set error = '' where p.category = _category and p.stream_id = _stream_id and p.error <> '';
end
$$;
