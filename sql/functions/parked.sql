-- The parked events of a subscription, stream by stream, in the order in which the streams were parked: the event that failed,
-- and then those of its stream that wait for it.
create or replace function parked(_subscription text, _limit bigint default 100)
returns table (
  attempts int, error text, parked_at timestamptz,
  "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language plpgsql stable
set search_path from current
as $$
declare
  _types  text[];
  _tags   text[];
  _parked parked_events;
  _count  bigint;
begin
  select s.types, s.tags into _types, _tags from subscriptions s where s.name = _subscription;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  -- Stream by stream, so that no more is read than what is wanted.
  for _parked in select * from parked_events p where p.subscription = _subscription order by p.position loop
    exit when _limit <= 0;
    return query
      select case when f.failed then _parked.attempts else 0 end,
             case when f.failed then nullif(_parked.error, '') end, _parked.parked_at,
             e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata
      from events_of_parked_stream(_parked.category, _parked.stream_id, _parked.position + _parked.discarded::int, _types, _tags) e,
           lateral (
             select e.position = _parked.position and (_parked.attempts > 0 or _parked.error <> '') as failed
           ) as f
      order by e.version limit _limit;
    get diagnostics _count = row_count;
    _limit := _limit - _count;
  end loop;
end
$$;
