-- How many committed events of a subscription lie beyond its _horizon, where an open append holds them back, and for how many
-- ms the first one has waited. _settled: the last committed event of the store; if the horizon has come to it, nothing is held
-- back. No more than _most events a category are counted, and no more than the _lag.
create or replace function held_back(
  _subscription subscriptions, _horizon bigint, _settled bigint, _head bigint, _lag bigint, _most bigint,
  out events bigint, out ms bigint
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_custom_plan
as $$
declare
  _categories constant text[] := _subscription.categories;
  _types      constant text[] := _subscription.types;
  _stream_id  constant text   := _subscription.stream_id;
  _tags       constant text[] := _subscription.tags;
  _whole      constant boolean := _categories is null or cardinality(_categories) > 100; -- as in counts_of
  _names      constant text[] := case when _whole then array[null::text] else _categories end;
begin
  events := 0;
  ms := 0;
  if _lag = 0 or _horizon >= _settled then
    return;
  end if;
  if _stream_id is not null then
    select c.events into events
    from count_versions(
      _categories[1], _stream_id,
      1 + version_at(_categories[1], _stream_id, _horizon), version_at(_categories[1], _stream_id, _head), _types, _most, _tags
    ) as c;
  else
    select coalesce(sum(w.wanted), 0) into events
    from unnest(_names) as name
    cross join lateral walk(_whole, name, _horizon, _head, _most, _types, case when _whole then _categories end, null, _tags) as w;
  end if;
  events := least(events, _lag);
  if events > 0 then
    ms := (
      select greatest(trunc(extract(epoch from clock_timestamp() - min(first.recorded_at)) * 1000), 0)
      from unnest(_names) as name
      cross join lateral (
        (select e.recorded_at from events e
         where _whole and e.position > _horizon and e.position <= _head order by e.position limit 1)
        union all
        (select e.recorded_at from events e
         where not _whole and e.category = name and e.position > _horizon and e.position <= _head
         order by e.position limit 1)
      ) as first
    );
    ms := coalesce(ms, 0);
  end if;
end
$$;
