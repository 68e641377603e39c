-- Call the waiters of a subscription, if one of them can have been waiting for what is now behind a checkpoint. One
-- index probe where nobody waits. Who came after this look, and before the caller commits, sees the checkpoint's row
-- being changed, and looks again (queries/reached.sql).
create or replace function ring_waiting(_subscription text) returns void
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
