-- An insert without the append function announces every category: a trigger can't see the rows before the first of them takes
-- its position. A caller that sets the flag alone is refused after the statement, by settle(). A caller that forges a whole
-- announcement harms the delivery of its own events.
--
-- It runs on each append, and does without a search_path of its own, which would be most of what it costs: so all names say where
-- they are.
create or replace function announce_every() returns trigger
language plpgsql
as $$
begin
  -- announcement_setting()
  if pg_catalog.starts_with(pg_catalog.current_setting(pg_catalog.concat('meowmx.announced_', tg_relid), true), '!') then
    return null;
  end if;
  if pg_catalog.to_regprocedure(pg_catalog.format('%I.announce_raw(oid)', tg_table_schema)) is null then
    raise exception 'schema "%" was copied, and its triggers still work in another schema', tg_table_schema
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  execute pg_catalog.format('select %I.announce_raw($1)', tg_table_schema) using tg_relid;
  return null;
end
$$;
