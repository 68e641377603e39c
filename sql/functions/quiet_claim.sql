-- Take the lease, where it is closed or expired. Returns the position from which to ring, or null: another has it.
create or replace function quiet_claim(_owner uuid) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _horizon bigint;
  _rung    bigint;
  _void    text;
begin
  _horizon := horizon(); -- refuses another isolation than read committed
  _void := set_config('synchronous_commit', 'off', true); -- whatever is lost with it was appended later, or is rung twice
  insert into conductor as c (owner, until, rung, closed)
  values (_owner, now_ms() + quiet_ms(), _horizon, false)
  on conflict (one) do update
  set owner = excluded.owner, until = excluded.until, closed = false,
      rung = case when c.closed then _horizon else least(c.rung, _horizon) end
  where c.closed or c.until - now_ms() not between 1 and quiet_ms()
  returning c.rung into _rung;
  return _rung;
end
$$;
