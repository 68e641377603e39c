-- After each statement that inserts: check that it kept the promises, then notify each of its categories, and the store,
-- with the highest position.
--
-- A notification is only a hint that saves waiting: readers go by the horizon, and everything works if notifications are
-- lost, forged or switched off. If appends wait for NOTIFY, one process notifies for all of them (publish.sql).
--
-- After append_one() there is mostly nothing to do. So it begins without a search_path of its own, and sets one only if it goes on.
create or replace function appended() returns trigger
language plpgsql
as $$
declare
  _mark       text := pg_catalog.current_setting(pg_catalog.concat('meowmx.announced_', tg_relid), true); -- announcement_setting()
  _path       text;
  _announced  text;
  _coalescing boolean;
  _highest    bigint;
  _formed     boolean := true;
  _row        record;
  _void       text;
begin
  -- append_one() does the rest by itself: the flag holds for its own INSERT and no other.
  if pg_catalog.starts_with(_mark, pg_catalog.concat('!!#', pg_catalog.pg_current_xact_id_if_assigned(), '#|'))
     and pg_catalog.pg_trigger_depth() operator(pg_catalog.=) 1 then
    _void := pg_catalog.set_config(pg_catalog.concat('meowmx.announced_', tg_relid), pg_catalog.substr(_mark, 3), true);
    return null;
  end if;

  _path := pg_catalog.current_setting('search_path');
  _void := pg_catalog.set_config('search_path', pg_catalog.concat(pg_catalog.quote_ident(tg_table_schema), ', pg_temp'), true);
  _announced := read_announcement();
  _coalescing := is_coalescing();
  -- The flag is gone, and was not taken by an append inside: an INSERT inside, which nothing had announced, has found it.
  if starts_with(_mark, '#') and strpos(_announced, '|-1=') = 0 and pg_trigger_depth() = 1 and strict() then
    raise exception 'something inserted into events inside of an append, without a trigger'
      using errcode = 'MW002', hint = 'Append by one statement at a time, without inserting into events inside it.';
  end if;

  -- Mostly there is one row, and nothing to group by, which would take a tenth of an append.
  perform from inserted offset 1 limit 1;
  if found then
    for _row in
      select category, min(position) as low, max(position) as high,
             bool_and(well_formed(category, stream_id, type, version, recorded_at, data, metadata)
                      and (strpos(metadata::text, '"$tags"') = 0 or coalesce(may_tag(), false))) as formed
      from inserted group by category
    loop
      _void := settle(_row.category, _row.low, _row.high, _announced, _coalescing);
      _highest := greatest(_highest, _row.high);
      _formed := _formed and _row.formed;
    end loop;
  else
    select category, position, well_formed(category, stream_id, type, version, recorded_at, data, metadata)
           and (strpos(metadata::text, '"$tags"') = 0 or coalesce(may_tag(), false)) as formed
    into _row from inserted;
    if not found then
      _void := set_config('search_path', _path, true);
      return null;
    end if;
    _highest := _row.position;
    _formed := _row.formed;
    _void := settle(_row.category, _highest, _highest, _announced, _coalescing);
  end if;

  if not _formed then
    perform refuse_malformed(i.*) from inserted i
    where not well_formed(category, stream_id, type, version, recorded_at, data, metadata);
    if not coalesce(may_tag(), false) then
      perform refuse_tagged(i.*) from inserted i where strpos(i.metadata::text, '"$tags"') > 0;
    end if;
  end if;

  -- The append function numbers versions itself. Where every category was announced, or a trigger is at work inside an
  -- append, it may be a raw INSERT: each version must follow the one before it, at a higher position. (A scalar subquery,
  -- so that it stays an index probe a row whatever the planner thinks of the tables.)
  if strpos(_announced, '|-1=') > 0 or pg_trigger_depth() > 1 then
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

  if not _coalescing then
    _void := pg_notify(tg_table_schema, _highest::text);
  end if;
  _void := set_config('search_path', _path, true);
  return null;
end
$$;
