-- Several queries at once, each as query_page has it: in `r` is the number of the query, from 1. A query whose tags more than _most events
-- carry has one row, which is not `whole`, and has to be read alone: the others do not wait for it. A query without a match has one row
-- without an event.
create or replace function query_pages(_queries json, _most int)
returns table (
  r int, whole boolean, "position" bigint, recorded_at timestamptz, id uuid, version int, category text, stream_id text, type text,
  data json, metadata json
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with items as materialized (
      select i.r, i.tags, i.types, case when cardinality(i.tags) = 1 then i.tags[1] else rarest(i.tags, 0, 9223372036854775807) end as rare
      from (
        select l.n::int as r, array(select distinct json_array_elements_text(item -> 'tags')) as tags,
               case when json_typeof(item -> 'types') = 'array' then array(select json_array_elements_text(item -> 'types')) end as types
        from json_array_elements(_queries) with ordinality as l (query, n) cross join lateral json_array_elements(l.query) as item
      ) as i
    ), sizes as materialized (
      select i.r, sum((select count(*) from (select from event_tags t where t.tag = i.rare limit _most + 1) as few)) as size
      from items i group by i.r
    ), found as materialized (
      select distinct i.r, p.position
      from items i join sizes s on s.r = i.r and s.size <= _most
      cross join lateral (
        select t.position from event_tags t
        where t.tag = i.rare
          and (cardinality(i.tags) = 1 or (
            select count(*) from event_tags o where o.tag = any (i.tags) and o.position = t.position
          ) = cardinality(i.tags))
          and (i.types is null or (select e.type from events e where e.position = t.position) = any (i.types))
        offset 0
      ) as p
    )
    select s.r, s.size <= _most, e.position, e.recorded_at, e.id, e.version, e.category, e.stream_id, e.type, e.data, e.metadata
    from sizes s
    left join (found f cross join lateral (select * from events x where x.position = f.position offset 0) as e) on f.r = s.r
    order by s.r, e.position;
end
$$;
