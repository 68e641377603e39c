-- The channel that wakes processes that fire timers. The payload is the time of the new timer in ms since 1970; if it is empty,
-- read the timers.
create or replace function timer_channel() returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '@timers');
end
$$;
