-- Push. NOTIFY is a hint and nothing but latency: readers go by the horizon, and all works with notifications lost,
-- forged or switched off. Where it is what appends wait for, somebody does it for all: 010_quiet.sql.

-- Channel of a category, or (null) of the whole store. A name over PostgreSQL's 63 bytes gives way to its hash.
create function channel_of(_schema text, _category text) returns text
language sql immutable
return case
  when _category is null then _schema
  when octet_length(_schema || '.' || _category) <= 63 then _schema || '.' || _category
  when octet_length(_schema) <= 29 then _schema || '.#' || md5(_category)
  else '#' || md5(_schema || '.' || _category)
end;

-- The same for this schema, for whoever wants to LISTEN.
create function channel(_category text default null) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return channel_of(current_schema(), _category);
end
$$;

-- Milliseconds since 1970.
create function now_ms() returns bigint
language sql volatile
return (date_part('epoch', clock_timestamp()) * 1000)::bigint;

-- How long appends stay quiet after somebody said that he notifies for them, at most.
create function quiet_ms() returns int
language sql immutable
return 500;

-- Until when appends stay quiet (now_ms). A sequence, for what is written to it holds at once, in every snapshot, and
-- leaves no old versions behind that each append would have to pass by.
create sequence quiet_until as bigint minvalue 0 start 0;

-- Whether appends stay quiet now. An expiry that is further ahead than a lease can be was written before the clock was set
-- back.
create function quiet() returns boolean
language sql volatile
return coalesce(pg_sequence_last_value('quiet_until') - now_ms() <@ int8range(1, quiet_ms() + 1), false);

-- Whether the promises which the horizon is built on have to be kept: a restore by who may change events too may break
-- them; the setting alone anybody can make.
create function strict() returns boolean
language sql stable
return current_setting('meowmx.maintenance', true) is distinct from 'on' or not has_table_privilege('events', 'update');

-- Whether every reader can read an event: names of 1 to 255 characters, a version that leaves room for the next one, a time
-- whose year has four digits, JSON that fits into one JavaScript string, metadata that is a JSON object, and no reserved
-- type. It runs for each row, so what is usual is found out by what is cheap: characters are counted only above 255 bytes,
-- and metadata is looked at only if its first character is no brace. refuse_malformed() says what is wrong.
create function well_formed(
  _category text, _stream_id text, _type text, _version int, _recorded_at timestamptz, _data json, _metadata json
) returns boolean
language sql immutable
return _version between 0 and 2147483646 and _category <> '' and _stream_id <> '' and _type <> ''
  and (
    octet_length(_category) <= 255 and octet_length(_stream_id) <= 255 and octet_length(_type) <= 255
    or char_length(_category) <= 255 and char_length(_stream_id) <= 255 and char_length(_type) <= 255
  )
  and ascii(_type) <> ascii('$')
  and _recorded_at >= '0001-01-01 00:00:00+00' and _recorded_at < '9999-12-31 00:00:00+00'
  and octet_length(_data::text) <= 402653184 and octet_length(_metadata::text) <= 402653184 -- 384 MiB
  and (ascii(_metadata::text) = ascii('{') or json_typeof(_metadata) = 'object');

-- Refuse an event that is not well formed, unless it is one of two exceptions. A restore takes old times and metadata as
-- they are: readers cope with them. A tombstone comes from whoever may erase, and says so (012_erase.sql).
create function refuse_malformed(_event events) returns void
language plpgsql
as $$
declare
  _name  text;
  _wrong text;
begin
  foreach _name in array array[_event.category, _event.stream_id, _event.type] loop
    if _name = '' or char_length(_name) > 255 then
      _wrong := format('has the name "%s": a category, a stream id and a type have 1 to 255 characters', left(_name, 255));
    end if;
  end loop;
  if _event.version not between 0 and 2147483646 then
    _wrong := 'has a version that is not between 0 and 2147483646';
  elsif greatest(octet_length(_event.data::text), octet_length(_event.metadata::text)) > 402653184 then
    _wrong := 'has data or metadata of more than 384 MiB';
  elsif _wrong is null and strict() then
    if not (_event.recorded_at >= '0001-01-01 00:00:00+00' and _event.recorded_at < '9999-12-31 00:00:00+00') then
      _wrong := format('has the recorded_at %s, which is not between the years 1 and 9999', _event.recorded_at);
    elsif json_typeof(_event.metadata) <> 'object' then
      _wrong := format('has metadata that is no JSON object: %s', left(_event.metadata::text, 80));
    elsif starts_with(_event.type, '$') and not accept_tombstone(_event) then
      raise exception 'version % of stream "%" of category "%" has the type "%": types that begin with $ are reserved',
        _event.version, _event.stream_id, _event.category, _event.type
        using errcode = 'check_violation',
              hint = 'Only who may erase can write $erased: by erase_stream, or as a copy of an erased stream.';
    end if;
  end if;
  if _wrong is not null then
    raise exception 'version % of stream "%" of category "%" %', _event.version, left(_event.stream_id, 255),
      left(_event.category, 255), _wrong using errcode = 'check_violation';
  end if;
end
$$;

-- A statement gave a category positions from _low to _high: check them, and notify the category. Internal, as announce().
create function settle(_category text, _low bigint, _high bigint, _mark text, _quiet boolean) returns void
language plpgsql
as $$
declare
  _bound   bigint := nullif(split_part(split_part(_mark, '|' || category_key(_category) || '=', 2), '|', 1), '');
  _channel text;
  _void    text;
begin
  if _bound is null then
    _bound := nullif(split_part(split_part(_mark, '|-1=', 2), '|', 1), '');
  end if;
  -- Positions that the sequence did not just hand out: OVERRIDING SYSTEM VALUE, COPY with positions, CACHE > 1. Or the
  -- sequence has moved so far that readers can't rebuild the announced position any more (003_horizon.sql).
  if (_low > _bound and _high - _bound < 4294967296 and _high <= least(last_position(), 9007199254740991)) is not true then
    if _bound is null and strict() then
      raise exception 'category "%" was not announced by this transaction', _category
        using errcode = 'MW002', hint = 'Append by one statement at a time, without inserting into events inside it.';
    elsif strict() then
      raise exception 'positions % to % of category "%" are not above % and at most %',
        _low, _high, _category, _bound, least(last_position(), _bound + 4294967295, 9007199254740991)
        using errcode = 'MW002', hint = 'Let the sequence number the events; a restore sets meowmx.maintenance = ''on''.';
    elsif _low < 1 or _high > 9007199254740991 then
      raise exception 'positions % to % of category "%" are not between 1 and 9007199254740991', _low, _high, _category
        using errcode = 'MW002', hint = 'No reader could tell such a position exactly: give the events other ones.';
    end if;
  end if;
  if not _quiet then
    _channel := current_schema() || '.' || _category; -- as channel_of() says where it fits, for less
    if octet_length(_channel) > 63 then
      _channel := channel_of(current_schema(), _category);
    end if;
    _void := pg_notify(_channel, _high::text);
  end if;
end
$$;

-- After each statement that inserts: check that it kept the promises, then notify each of its categories, and the store,
-- with the highest position.
create function appended() returns trigger
language plpgsql
set search_path from current
as $$
declare
  _mark    constant text := announced();
  _quiet   constant boolean := quiet();
  _highest bigint;
  _formed  boolean := true;
  _row     record;
  _void    text;
begin
  select category, position, well_formed(category, stream_id, type, version, recorded_at, data, metadata) as formed
  into _row from inserted limit 1; -- without it, plpgsql.extra_errors would refuse a second row
  if not found then
    return null;
  end if;
  -- Mostly there is one row, and nothing to group by, which would take a tenth of an append.
  perform from inserted offset 1 limit 1;
  if not found then
    _highest := _row.position;
    _formed := _row.formed;
    _void := settle(_row.category, _highest, _highest, _mark, _quiet);
  else
    for _row in
      select category, min(position) as low, max(position) as high,
             bool_and(well_formed(category, stream_id, type, version, recorded_at, data, metadata)) as formed
      from inserted group by category
    loop
      _void := settle(_row.category, _row.low, _row.high, _mark, _quiet);
      _highest := greatest(_highest, _row.high);
      _formed := _formed and _row.formed;
    end loop;
  end if;

  if not _formed then
    perform refuse_malformed(i.*) from inserted i
    where not well_formed(category, stream_id, type, version, recorded_at, data, metadata);
  end if;

  -- The append function numbers versions itself. Where every category was announced, or a trigger is at work inside an
  -- append, it may be a raw INSERT: each version must follow the one before it, at a higher position. (A scalar subquery,
  -- so that it stays an index probe a row whatever the planner thinks of the tables.)
  if strpos(_mark, '|-1=') > 0 or pg_trigger_depth() > 1 then
    select category, stream_id, version into _row from inserted i
    where version > 0 and coalesce((
      select e.position from events e
      where e.category = i.category and e.stream_id = i.stream_id and e.version = i.version - 1
    ), i.position) >= i.position
    limit 1;
    if found and strict() then
      raise exception 'version % of stream "%" of category "%" does not follow version % at a lower position',
        _row.version, _row.stream_id, _row.category, _row.version - 1 using errcode = 'MW003';
    end if;
  end if;

  if not _quiet then
    _void := pg_notify(tg_table_schema, _highest::text);
  end if;
  return null;
end
$$;

create trigger appended
  after insert on events
  referencing new table as inserted
  for each statement execute function appended();

alter table events enable always trigger appended;
