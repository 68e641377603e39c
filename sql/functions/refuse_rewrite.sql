-- The right to columns of events is the right to empty them. Who may change the table as a whole may restore, too. What
-- empties an event never calls this: a trigger that is called before each row costs an erasure a quarter of its time.
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
