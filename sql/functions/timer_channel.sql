-- The channel that wakes those who fire timers. The payload is the time of the new timer in ms since 1970, or nothing: look.
create or replace function timer_channel() returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '@timers');
end
$$;
