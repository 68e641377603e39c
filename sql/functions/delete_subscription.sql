-- Its executors, if there are any, end with an error.
create or replace function delete_subscription(_name text) returns void
language plpgsql
set search_path from current
as $$
begin
  perform refuse_projected(_name);
  perform seize(_name);
  perform setval('retired_epoch', greatest(
    (select last_value from retired_epoch), (select max(c.epoch) from checkpoints c where c.subscription = _name)
  ));
  -- First the rows that an owner may have locked in an open transaction.
  delete from checkpoints c where c.subscription = _name;
  delete from subscriptions s where s.name = _name;
  perform pg_notify(wake_channel(_name), '');
  perform pg_notify(waiting_channel(_name), '');
end
$$;
