-- Makes a version of a projection the live one, or finds out why it can't be yet. In one transaction all views are replaced, so
-- readers see the one version or the other.
--
-- _generation  null: the newest one of the version
-- _how         'complete': only find out whether it is complete. 'auto': switch if it is complete, has no parked stream, was
--              never live, and is newer than the live one. 'asked': switch if it is or was complete
-- _within_ms   how long to wait for it to reach the position that the live one has
--
-- Returns what it is: 'live'; 'ready': complete, and not to be switched to by itself; 'parked': the same because of parked streams;
-- 'building': it is not complete. Otherwise it has an error (MW016, with what is in the way).
--
-- While it switches, the live version can't move: its checkpoints are locked. So the next one shows all that the live one has
-- shown, and no reader goes back in time. What runs on behind that lock, a long query that reads a view, must not hold up all
-- who come after it: locks are waited for no longer than 50 ms, and the caller tries again (55P03).
create or replace function switch_projection(
  _name text, _version int, _generation int, _how text, _within_ms int default 200
) returns text
language plpgsql
set search_path from current
as $$
declare
  _next     projections;
  _live     projections;
  _is_there boolean; -- complete, as of now
  _position bigint;
begin
  perform set_config('lock_timeout', '50ms', true);
  perform lock_projection(_name);
  select * into _next from projections p
  where p.name = _name and p.version = _version and p.dropped_at is null
    and (p.generation = _generation or _generation is null)
  order by p.generation desc limit 1;
  if not found then
    raise exception 'there is no version % of projection "%"', _version, _name
      using errcode = 'MW015', hint = 'projections() lists what there is.';
  elsif _next.is_live then
    return 'live';
  elsif not _next.is_set_up then
    return 'building';
  end if;
  select * into _live from projections p where p.name = _name and p.is_live;

  _position := (
    select horizon(variadic coalesce(s.categories, '{}')) from subscriptions s where s.name = _next.subscription
  );
  _is_there := await_projected(_next.subscription, _position, _within_ms);
  if _is_there and _next.completed_at is null then
    update projections p set completed_at = clock_timestamp()
    where (p.name, p.version, p.generation) = (_next.name, _next.version, _next.generation)
    returning * into _next;
    perform pg_notify(projection_channel(_name), '');
  end if;
  if _next.completed_at is null or _how = 'auto' and not _is_there then
    return 'building';
  elsif _how = 'complete' then
    return 'ready';
  elsif _how = 'auto' and (_next.activated_at is not null or _live.version > _next.version) then
    return 'ready';
  elsif _how = 'auto' and exists (select from parked_events p where p.subscription = _next.subscription) then
    return 'parked';
  end if;

  if _live.name is not null then
    perform from checkpoints c where c.subscription = _live.subscription order by c.partition for share;
    _position := (select max(c.position) from checkpoints c where c.subscription = _live.subscription);
    -- One that nobody works on any more never gets there, and may be needed all the same: to go back to it.
    if not await_projected(_next.subscription, _position, _within_ms) and (_how = 'auto' or exists (
      select from checkpoints c where c.subscription = _next.subscription and c.lease_until > clock_timestamp()
    )) then
      return 'building';
    end if;
  end if;
  perform expose_projection(_next);
  update projections p set is_live = false where p.name = _name and p.is_live;
  update projections p set is_live = true, activated_at = clock_timestamp()
  where (p.name, p.version, p.generation) = (_next.name, _next.version, _next.generation);
  perform pg_notify(projection_channel(_name), '');
  return 'live';
end
$$;
