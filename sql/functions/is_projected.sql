-- Whether a subscription has handled or parked all committed events up to _position that it selects.
create or replace function is_projected(_subscription text, _position bigint) returns boolean
language plpgsql stable
set search_path from current
as $$
begin
  return not exists (
      select from parked_events p where p.subscription = _subscription and p.replaying and p.position <= _position
    )
    and coalesce((
      select low.position >= _position or not exists (
        select
        from unnest(coalesce(s.categories, array[null::text])) as name
        cross join lateral (
          (
            select e.category, e.stream_id, e.position from events e
            where s.categories is not null and e.category = name and e.position > low.position and e.position <= _position
              and (s.types is null or e.type = any (s.types)) and (s.stream_id is null or e.stream_id = s.stream_id)
              and (s.tags is null or has_tags(e.position, s.tags))
          )
          union all
          (
            select e.category, e.stream_id, e.position from events e
            where s.categories is null and e.position > low.position and e.position <= _position
              and (s.types is null or e.type = any (s.types)) and (s.tags is null or has_tags(e.position, s.tags))
          )
        ) as e
        join checkpoints c
          on c.subscription = s.name and c.partition = stream_hash(e.category, e.stream_id) % s.partitions::bigint
        where c.position < e.position
      )
      from subscriptions s
      cross join lateral (select min(c.position) as position from checkpoints c where c.subscription = s.name) as low
      where s.name = _subscription
    ), false);
end
$$;
