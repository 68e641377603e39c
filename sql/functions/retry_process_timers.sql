-- Timers of a process manager that have failed are tried again now: those of one instance, or all. Returns how many.
create or replace function retry_process_timers(_process text, _id text) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _count bigint;
begin
  update process_timers t set next_at = clock_timestamp(), attempts = 0
  where t.process = _process and (_id is null or t.id = _id) and t.attempts > 0;
  get diagnostics _count = row_count;
  if _count > 0 then
    perform wake_timers(clock_timestamp());
  end if;
  return _count;
end
$$;
