-- After each statement that inserts: check that it kept the promises, then notify each of its categories, and the store,
-- with the highest position.
--
-- A notification is only a hint that saves waiting: readers go by the horizon, and everything works if notifications are
-- lost, forged or switched off. If appends wait for NOTIFY, one process notifies for all of them (publish.sql).
create or replace function appended() returns trigger
language plpgsql
set search_path from current
as $$
declare
  _announced  constant text := read_announcement();
  _coalescing constant boolean := is_coalescing();
  _highest    bigint;
  _formed     boolean := true;
  _row        record;
  _void       text;
begin
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
  return null;
end
$$;
