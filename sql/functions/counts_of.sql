-- How many events up to _horizon a subscription still has to handle, how many streams it has parked, and how many events those
-- streams hold.
--
-- With _most, at most that number of events is counted one by one, and the rest is estimated from 16 samples of 32 events per
-- category. So a lag of up to _most events is exact. Of parked streams, a tenth of _most is read. Without _most all is exact.
-- (It is planned for the actual values: see walk.)
create or replace function counts_of(
  _subscription subscriptions, _horizon bigint, _most bigint default null,
  out lag bigint, out lag_is_estimate boolean, out streams bigint, out parked bigint, out parked_is_estimate boolean
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_custom_plan
as $$
declare
  _name       constant text   := _subscription.name;
  _categories constant text[] := _subscription.categories;
  _types      constant text[] := _subscription.types;
  _stream_id  constant text   := _subscription.stream_id;
  _tags       constant text[] := _subscription.tags;
  -- If there are very many categories, one walk through the log is shorter than a walk through each.
  _whole      constant boolean := _categories is null or cardinality(_categories) > 100;
  _reached    bigint[]; -- by partition
  _apart      bigint[]; -- the same, where they are not equally far
  _low        bigint;
  _count      record;
begin
  select array_agg(c.position order by c.partition), min(c.position),
         case when min(c.position) < max(c.position) then array_agg(c.position order by c.partition) end
  into _reached, _low, _apart
  from checkpoints c where c.subscription = _name;
  lag := 0;
  lag_is_estimate := false;
  if _stream_id is not null then
    select c.events, c.is_estimate into lag, lag_is_estimate
    from count_versions(
      _categories[1], _stream_id,
      1 + version_at(_categories[1], _stream_id, _reached[1 + stream_hash(_categories[1], _stream_id) % cardinality(_reached)]),
      version_at(_categories[1], _stream_id, _horizon), _types, _most, _tags
    ) as c;
  elsif _low < _horizon then
    -- One category after the other. Each may use the part of the limit that the earlier ones did not need.
    with recursive next (n, most, walked, wanted, last, remaining) as (
      select 0, null::bigint, null::bigint, 0::bigint, null::bigint, _most
      union all
      select next.n + 1, next.remaining, w.walked, w.wanted, w.last, next.remaining - least(w.walked, next.remaining - 32)
      from next
      cross join lateral walk(
        _whole, _categories[next.n + 1], _low, _horizon, next.remaining, _types, case when _whole then _categories end, _apart, _tags
      ) as w
      where next.n < case when _whole then 1 else cardinality(_categories) end
    ), sample as (
      select w.walked = 32 as is_estimate,
             w.wanted * case when w.walked = 32 then (part.high - part.low) / (w.last - part.low)::numeric else 1 end as wanted
      from next
      cross join generate_series(0, 15) as i
      cross join lateral (
        select next.last + (_horizon - next.last) * i / 16 as low, next.last + (_horizon - next.last) * (i + 1) / 16 as high
      ) as part
      cross join lateral walk(
        _whole, _categories[next.n], part.low, part.high, 32, _types, case when _whole then _categories end, _apart, _tags
      ) as w
      where next.walked = next.most
    )
    select (select sum(next.wanted) from next) + coalesce(round(sum(sample.wanted)), 0), coalesce(bool_or(sample.is_estimate), false)
    into lag, lag_is_estimate from sample;
  end if;

  -- For each parked stream: which of its events comes next, and, if it is being replayed, up to where its events count as lag.
  select count(*) into streams from parked_events p where p.subscription = _name;
  parked := 0;
  parked_is_estimate := false;
  if streams > 0 then
    with looked_at as materialized (
      select p.category, p.stream_id, r.first, r.final,
             case when p.replaying then version_at(
               p.category, p.stream_id, _reached[1 + stream_hash(p.category, p.stream_id) % cardinality(_reached)]
             ) end as passed
      from (
        select p.category, p.stream_id, p.position + p.discarded::int as position, p.replaying from parked_events p where p.subscription = _name
        order by stream_hash(p.category, p.stream_id) limit _most / 10 -- as good as at random
      ) as p
      cross join lateral parked_range(p.category, p.stream_id, p.position) as r
    )
    select count(*) as streams, bool_or(waiting.is_estimate or back.is_estimate) as is_estimate,
           sum(waiting.events) as waiting, max(waiting.events) as most_waiting,
           sum(back.events) as back, max(back.events) as most_back
    into _count
    from (select _most / greatest(1, least(streams, _most / 10)) as most) as each
    cross join looked_at s
    cross join lateral count_versions(s.category, s.stream_id, s.first, s.final, _types, each.most, _tags) as waiting
    cross join lateral count_versions(s.category, s.stream_id, s.first, s.passed, _types, each.most, _tags) as back;
    parked := _count.waiting;
    parked_is_estimate := _count.is_estimate or _count.streams < streams;
    if _count.streams < streams then
      -- The longest stream is left out of the estimate: it may be an exception.
      parked := parked
        + round((_count.waiting - _count.most_waiting) * (streams - _count.streams) / greatest(_count.streams - 1, 1));
      _count.back := _count.back
        + round((_count.back - _count.most_back) * (streams - _count.streams) / greatest(_count.streams - 1, 1));
    end if;
    lag := lag + _count.back;
    lag_is_estimate := lag_is_estimate or parked_is_estimate and _count.back > 0;
  end if;
  -- An estimate must not be 0 unless it is known to be 0.
  if lag_is_estimate and lag = 0 then
    lag := 1;
  end if;
end
$$;
