-- Takes the publisher's lease if it is closed or expired. Returns the position from which to publish, or null if another process
-- has the lease.
create or replace function claim_publishing(_owner uuid) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _horizon   bigint;
  _published bigint;
  _void      text;
begin
  _horizon := horizon(); -- refuses another isolation than read committed
  _void := set_config('synchronous_commit', 'off', true); -- what a crash undoes was appended later, or is notified twice
  insert into publisher as p (owner, until, published, closed)
  values (_owner, now_ms() + coalescing_ms(), _horizon, false)
  on conflict (one) do update
  set owner = excluded.owner, until = excluded.until, closed = false,
      published = case when p.closed then _horizon else least(p.published, _horizon) end
  where p.closed or p.until - now_ms() not between 1 and coalescing_ms()
  returning p.published into _published;
  return _published;
end
$$;
