-- Appended events are never changed or removed. An administrator who has to (for a restore of data alone, for example) says so for
-- one transaction:  set local meowmx.maintenance = 'on'
create or replace function refuse_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if current_setting('meowmx.maintenance', true) = 'on' then
    return null;
  end if;
  raise exception '% on %.events refused: events are append-only', tg_op, tg_table_schema
    using errcode = 'MW001', hint = 'An administrator may: set local meowmx.maintenance = ''on''';
end
$$;
