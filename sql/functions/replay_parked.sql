-- Lets all parked streams, or one, be delivered again. Their attempts are counted from 0. Returns how many events these are.
create or replace function replay_parked(_subscription text, _stream_id text default null) returns bigint
language plpgsql
set search_path from current
as $$
declare
  _types text[];
  _tags  text[];
  _count bigint;
begin
  select s.types, s.tags into _types, _tags from subscriptions s where s.name = _subscription;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  with put_back as (
    update parked_events p set replaying = true, attempts = 0
    where p.subscription = _subscription and not p.replaying and (_stream_id is null or p.stream_id = _stream_id)
    returning p.category, p.stream_id, p.position
  ), ranges as materialized (
    select b.category, b.stream_id, r.first, r.final
    from put_back b cross join lateral parked_range(b.category, b.stream_id, b.position) as r
  )
  select sum(c.events) into _count
  from ranges r
  cross join lateral count_versions(r.category, r.stream_id, r.first, r.final, _types, null, _tags) as c;
  perform pg_notify(wake_channel(_subscription), '');
  return coalesce(_count, 0);
end
$$;
