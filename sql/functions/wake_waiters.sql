-- Wakes the waiters of a subscription if one of them may wait for a position that a checkpoint has reached. If nobody
-- waits, it costs one index probe. A waiter that came after this probe, but before the caller commits, sees that the
-- checkpoint's row is being changed, and asks again (queries/reached.sql).
create or replace function wake_waiters(_subscription text) returns void
language plpgsql
set search_path from current
as $$
declare
  _least   constant bigint := (
    select w.position from waiters w
    where w.subscription = _subscription and w.until > clock_timestamp() order by w.position limit 1
  );
  _highest bigint;
begin
  if _least is null then
    return;
  end if;
  _highest := (select max(c.position) from checkpoints c where c.subscription = _subscription);
  if _least <= _highest then
    perform pg_notify(waiting_channel(_subscription), _highest::text);
  end if;
end
$$;
