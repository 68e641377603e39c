-- The first _limit events above _after that match a query (first_unseen says what that is), in the order of positions, and the horizon
-- of the store, which is fetched first, so the later statement sees all events at or below it. Without a match, it returns one
-- row, with only the horizon. Later pages use the horizon of the first one.
--
-- _known  a horizon of the store that was fetched at any time before: nothing has appeared at or below it since, so it serves as well,
--         and none is fetched, unless the store has lost what it tells of. Only outside of a transaction: a snapshot from before it
--         would miss what it says is there.
--
-- The planner takes the statement for expensive: it expects 100 items, and does not see their tags. So the server would compile it
-- each time, which takes 5 to 200 ms, where the query itself takes 0.1.
create or replace function query_page(_query json, _after bigint default 0, _limit bigint default 9007199254740991, _known bigint default null)
returns table (
  horizon bigint, "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
declare
  _horizon constant bigint := case when _known <= last_position() then _known else horizon() end;
begin
  return query
    with items as materialized (
      select i.tags, i.types, rarest(i.tags, _after, 9223372036854775807) as rare
      from (
        select array(select distinct json_array_elements_text(item -> 'tags')) as tags,
               case when json_typeof(item -> 'types') = 'array' then array(select json_array_elements_text(item -> 'types')) end as types
        from json_array_elements(_query) as item
      ) as i
    ), found as materialized (
      select distinct p.position
      from items i cross join lateral (
        select t.position from event_tags t
        where t.tag = i.rare and t.position > _after
          and (cardinality(i.tags) = 1 or (
            select count(*) from event_tags o where o.tag = any (i.tags) and o.position = t.position
          ) = cardinality(i.tags))
          and (i.types is null or (select e.type from events e where e.position = t.position) = any (i.types))
        order by t.position limit _limit
      ) as p
      order by p.position limit _limit
    )
    select _horizon, e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata
    from (select) as one
    left join (found f cross join lateral (select * from events x where x.position = f.position offset 0) as e) on true
    order by e.position;
end
$$;
