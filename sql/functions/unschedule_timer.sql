-- Deletes a timer. False: there is none, or it has just been fired.
create or replace function unschedule_timer(_key text) returns boolean
language plpgsql
set search_path from current
as $$
begin
  delete from timers t where t.key = _key;
  return found;
end
$$;
