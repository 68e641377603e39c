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

-- What names and versions have to be.
create function well_formed(_category text, _stream_id text, _type text, _version int) returns boolean
language sql immutable
return '' <> all (array[_category, _stream_id, _type]) and _version >= 0
  and greatest(char_length(_category), char_length(_stream_id), char_length(_type)) <= 255;

-- A statement gave a category positions from _low to _high: check them, and notify the category. Internal, as announce().
create function settle(_category text, _low bigint, _high bigint, _formed boolean, _mark text, _quiet boolean) returns void
language plpgsql
as $$
declare
  _bound   bigint := nullif(split_part(split_part(_mark, '|' || category_key(_category) || '=', 2), '|', 1), '');
  _channel text;
  _void    text;
begin
  if not _formed then
    raise exception 'an event of category "%" has a name that is empty or longer than 255 characters, or a version below 0',
      left(_category, 255) using errcode = 'check_violation';
  end if;
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
  _row     record;
  _void    text;
begin
  select category, stream_id, type, version, position into _row from inserted;
  if not found then
    return null;
  end if;
  -- Mostly there is one row, and nothing to group by, which would take a tenth of an append.
  perform from inserted offset 1 limit 1;
  if not found then
    _highest := _row.position;
    _void := settle(_row.category, _highest, _highest,
                    well_formed(_row.category, _row.stream_id, _row.type, _row.version), _mark, _quiet);
  else
    for _row in
      select category, min(position) as low, max(position) as high,
             bool_and(well_formed(category, stream_id, type, version)) as formed
      from inserted group by category
    loop
      _void := settle(_row.category, _row.low, _row.high, _row.formed, _mark, _quiet);
      _highest := greatest(_highest, _row.high);
    end loop;
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
