-- Keeps the lease. As long as it lasts appends do not notify (_coalescing), or they notify again from now on. Returns false if
-- another process has the lease.
create or replace function renew_publishing(_owner uuid, _published bigint, _coalescing boolean) returns boolean
language plpgsql
set search_path from current
as $$
declare
  _until bigint;
  _void  text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a publisher needs isolation level read committed, this transaction is %',
      current_setting('transaction_isolation') using errcode = 'MW004';
  end if;
  _void := set_config('synchronous_commit', 'off', true);
  update publisher set until = now_ms() + coalescing_ms(), published = greatest(published, _published)
  where owner = _owner and not closed
  returning until into _until;
  if not found then
    return false;
  end if;
  _void := setval('coalescing_until', case when _coalescing then _until else 0 end);
  return true;
end
$$;
