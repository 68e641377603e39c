-- Everybody has been notified, and appends speak for themselves. False: another has the lease.
create or replace function quiet_close(_owner uuid) returns boolean
language plpgsql
set search_path from current
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a conductor needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  update conductor set closed = true where owner = _owner and not closed;
  return found;
end
$$;
