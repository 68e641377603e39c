-- Notifies the processes that fire timers of a timer for this time. They ignore it if they wake earlier anyway.
create or replace function wake_timers(_at timestamptz) returns void
language plpgsql
set search_path from current
as $$
begin
  perform pg_notify(timer_channel(), floor(date_part('epoch', _at) * 1000)::text);
end
$$;
