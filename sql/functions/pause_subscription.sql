-- Pauses a subscription: from their next claim on, its executors begin no event and own no partition, until it is resumed.
-- Events that they are handling end as usual. If it is paused already, nothing changes.
create or replace function pause_subscription(_name text) returns void
language plpgsql
set search_path from current
as $$
begin
  update subscriptions s set paused_at = coalesce(s.paused_at, clock_timestamp()) where s.name = _name;
  if not found then
    raise exception 'there is no subscription "%"', _name using errcode = 'MW011';
  end if;
  perform pg_notify(wake_channel(_name), '');
end
$$;
