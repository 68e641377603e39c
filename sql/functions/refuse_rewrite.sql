-- The privilege to update columns of events only permits to empty them. A role that may change the whole table may also
-- restore. A statement that empties an event does not call this: a trigger that runs before each row would cost an erasure a
-- quarter of its time.
create or replace function refuse_rewrite() returns trigger
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
