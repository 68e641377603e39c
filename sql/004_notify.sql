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

-- After each statement that inserts: check that it kept the promises which the horizon is built on (a restore by who may
-- change events too may break them; the setting alone anybody can make), then notify each of its categories, and the store, with the highest position.
create function appended() returns trigger
language plpgsql
set search_path from current
as $$
declare
  _mark     constant jsonb := announced();
  _strict   constant boolean := current_setting('meowmx.maintenance', true) is distinct from 'on'
                                or not has_table_privilege('events', 'update');
  _head     bigint;
  _quiet    boolean; -- an expiry that is further ahead than a lease can be was written before the clock was set back
  _alone    boolean; -- all of one category
  _names    text[];
  _lows     bigint[];
  _highs    bigint[];
  _bound    bigint;
  _highest  bigint;
  _row      record;
  _void     text;
begin
  -- Mostly there is one category, and nothing to group by, which takes 15 of the 240 microseconds of an append.
  select array[min(category)], array[min(position)], array[max(position)], last_position(),
         coalesce(pg_sequence_last_value('quiet_until') - now_ms() between 1 and quiet_ms(), false),
         min(category) = max(category)
  into _names, _lows, _highs, _head, _quiet, _alone
  from (select category collate "C" as category, position from inserted) as appended;
  if _alone is null then
    return null;
  end if;
  if not _alone then
    select array_agg(name), array_agg(low), array_agg(high) into _names, _lows, _highs
    from (
      select category as name, min(position) as low, max(position) as high from inserted group by category
    ) as categories;
  end if;

  for _i in 1 .. cardinality(_names) loop
    _bound := coalesce(_mark ->> category_key(_names[_i])::text, _mark ->> '-1');
    if _strict and _bound is null then
      raise exception 'category "%" was not announced by this transaction', _names[_i]
        using errcode = 'MW002', hint = 'Append by one statement at a time, without inserting into events inside it.';
    end if;
    -- Positions that the sequence did not just hand out: OVERRIDING SYSTEM VALUE, COPY with positions, CACHE > 1.
    if _strict and (_lows[_i] <= _bound or _highs[_i] > _head or _highs[_i] - _bound >= 2147483648) then
      raise exception 'positions % to % of category "%" are not above % and at most %',
        _lows[_i], _highs[_i], _names[_i], _bound, _head
        using errcode = 'MW002', hint = 'Let the sequence number the events; a restore sets meowmx.maintenance = ''on''.';
    end if;
    _highest := greatest(_highest, _highs[_i]);
    if not _quiet then
      _void := pg_notify(channel_of(tg_table_schema, _names[_i]), _highs[_i]::text);
    end if;
  end loop;

  -- The append function numbers versions itself. Where every category was announced, or a trigger is at work inside an
  -- append, it may be a raw INSERT: each version must follow the one before it, at a higher position. (A scalar subquery,
  -- so that it stays an index probe a row whatever the planner thinks of the tables.)
  if _strict and (_mark ? '-1' or pg_trigger_depth() > 1) then
    select category, stream_id, version into _row from inserted i
    where version > 0 and coalesce((
      select e.position from events e
      where e.category = i.category and e.stream_id = i.stream_id and e.version = i.version - 1
    ), i.position) >= i.position
    limit 1;
    if found then
      raise exception 'version % of stream "%" of category "%" does not follow version % at a lower position',
        _row.version, _row.stream_id, _row.category, _row.version - 1 using errcode = 'MW003';
    end if;
  end if;

  if _highest is not null and not _quiet then
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
