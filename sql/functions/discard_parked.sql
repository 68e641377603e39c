-- Discards the event that a stream is parked for, and lets the later ones be delivered again. Returns how many
-- streams these were, and how many later events they have. Streams that are being replayed do not change, because an executor
-- works on them. _category: null, if only one category has such a stream.
create or replace function discard_parked(
  _subscription text, _stream_id text, _category text, _reason text, out discarded int, out replayed bigint
)
language plpgsql
set search_path from current
as $$
declare
  _types      text[];
  _tags       text[];
  _categories text[];
begin
  select s.types, s.tags into _types, _tags from subscriptions s where s.name = _subscription;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
  select array_agg(locked.category order by locked.category) into _categories
  from (
    select p.category from parked_events p
    where p.subscription = _subscription and p.stream_id = _stream_id and not p.replaying
      and (_category is null or p.category = _category)
    for no key update
  ) as locked;
  discarded := coalesce(cardinality(_categories), 0);
  if discarded > 1 then
    raise exception 'streams "%" of categories % are parked', _stream_id, array_to_string(_categories, ', ') using errcode = 'MW012';
  end if;

  insert into discarded_events (position, attempts, subscription, category, stream_id, error, reason)
  select p.position, p.attempts, p.subscription, p.category, p.stream_id, p.error, _reason
  from parked_events p
  where p.subscription = _subscription and p.category = any (_categories) and p.stream_id = _stream_id;

  with put_back as (
    update parked_events p set replaying = true, attempts = 0, error = '', discarded = true
    where p.subscription = _subscription and p.category = any (_categories) and p.stream_id = _stream_id
    returning p.category, p.stream_id, p.position
  ), ranges as materialized (
    select b.category, b.stream_id, r.first, r.final
    from put_back b cross join lateral parked_range(b.category, b.stream_id, b.position + 1) as r
  )
  select coalesce(sum(c.events), 0) into replayed
  from ranges r
  cross join lateral count_versions(r.category, r.stream_id, r.first, r.final, _types, null, _tags) as c;
  perform pg_notify(wake_channel(_subscription), '');
end
$$;
