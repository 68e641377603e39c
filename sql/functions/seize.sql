-- Locks a subscription against claims, and then its checkpoints against their owners. It takes no stronger lock on the
-- subscription's row, because an owner that parks a stream inserts a row that refers to it.
create or replace function seize(_name text) returns subscriptions
language plpgsql
set search_path from current
as $$
declare
  _there subscriptions;
begin
  select * into _there from subscriptions s where s.name = _name for no key update;
  if not found then
    raise exception 'there is no subscription "%"', _name using errcode = 'MW011';
  end if;
  perform from checkpoints c where c.subscription = _name order by c.partition for no key update;
  return _there;
end
$$;
