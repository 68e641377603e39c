-- An insert without the append function announces every category: a trigger can't see the rows before the first of them takes
-- its position. A caller that sets the flag alone is refused after the statement, by settle(). A caller that forges a whole
-- announcement harms the delivery of its own events.
create or replace function announce_every() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if to_regclass('events') is null then
    raise exception 'schema "%" was renamed, and its triggers still work in the one of its old name', tg_table_schema
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  if not coalesce(starts_with(current_setting(announcement_setting(), true), '!'), false) then
    if tg_relid <> 'events'::regclass then
      raise exception 'schema "%" was renamed or copied, and its triggers still work in schema "%"', tg_table_schema, current_schema()
        using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
    end if;
    perform announce(null);
  end if;
  return null;
end
$$;
