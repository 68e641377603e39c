-- Closes the lease: all events were notified, and appends notify again. Returns false if another process has the lease.
create or replace function end_publishing(_owner uuid) returns boolean
language plpgsql
set search_path from current
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a publisher needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  update publisher set closed = true where owner = _owner and not closed;
  return found;
end
$$;
