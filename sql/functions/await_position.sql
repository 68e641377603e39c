-- Registers a waiter for a while, or renews it, and deletes those whose time is over.
create or replace function await_position(_subscription text, _position bigint, _id uuid, _while_ms double precision) returns void
language plpgsql
set search_path from current
as $$
begin
  delete from waiters where (subscription, position, id) in (
    select w.subscription, w.position, w.id from waiters w where w.until < clock_timestamp() for update skip locked
  );
  insert into waiters (subscription, position, id, until)
  values (_subscription, _position, _id, clock_timestamp() + _while_ms * interval '1 ms')
  on conflict (subscription, position, id) do update set until = excluded.until;
end
$$;
