-- Lets a paused subscription go on; its executors are woken. If it is not paused, nothing changes.
create or replace function resume_subscription(_name text) returns void
language plpgsql
set search_path from current
as $$
begin
  update subscriptions s set paused_at = null where s.name = _name;
  if not found then
    raise exception 'there is no subscription "%"', _name using errcode = 'MW011';
  end if;
  perform pg_notify(wake_channel(_name), '');
  perform pg_notify(timer_channel(), ''); -- if it is a process manager, its timers fire again
end
$$;
