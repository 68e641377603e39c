-- Keep the lease, with appends that stay quiet as long as it lasts, or speak from now on. False: another has it.
create or replace function quiet_renew(_owner uuid, _rung bigint, _quiet boolean) returns boolean
language plpgsql
set search_path from current
as $$
declare
  _until bigint;
  _void  text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a conductor needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  _void := set_config('synchronous_commit', 'off', true);
  update conductor set until = now_ms() + quiet_ms(), rung = greatest(rung, _rung)
  where owner = _owner and not closed
  returning until into _until;
  if not found then
    return false;
  end if;
  _void := setval('quiet_until', case when _quiet then _until else 0 end);
  return true;
end
$$;
