-- Wakes the waiters of a subscription when a stream is parked (its events count as handled, although the checkpoint may be far
-- below them), and when a replayed event was handled.
create or replace function wake_waiters_of_parked() returns trigger
language plpgsql
set search_path from current
as $$
declare
  _subscription constant text := coalesce(new.subscription, old.subscription);
begin
  if exists (
    select from waiters w
    where w.subscription = _subscription and w.position >= least(old.position, new.position)
      and w.until > clock_timestamp()
  ) then
    perform pg_notify(waiting_channel(_subscription), '');
  end if;
  return null;
end
$$;
