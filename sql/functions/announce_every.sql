-- Whoever inserts without the append function announces every category: a trigger can't see the rows before the first of
-- them takes its position. Who sets the flag alone is refused after the statement, by settle(); who forges a whole mark
-- harms the delivery of his own events.
create or replace function announce_every() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if not coalesce(starts_with(current_setting(mark_name(), true), '!'), false) then
    if tg_relid <> 'events'::regclass then
      raise exception 'schema "%" was renamed or copied, and its triggers still work in schema "%"', tg_table_schema, current_schema()
        using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
    end if;
    perform announce(null);
  end if;
  return null;
end
$$;
