-- Lets a subscription continue after _position, also while executors work: they lose their leases, and parked streams are
-- forgotten.
create or replace function reset_subscription(_name text, _position bigint) returns void
language plpgsql
set search_path from current
as $$
begin
  perform refuse_projected(_name);
  perform seize(_name);
  update checkpoints c set position = _position, epoch = c.epoch + 1, owner = null, lease_until = null
  where c.subscription = _name;
  delete from parked_events p where p.subscription = _name;
  perform pg_notify(wake_channel(_name), '');
  perform wake_waiters(_name);
end
$$;
