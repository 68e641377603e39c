-- The position of the first event that matches a query and that was not seen: above _horizon, and none of _seen. Null: there is none.
-- _query: [{"tags": [...], "types": [...] or left out}, ...]: all of the tags and one of the types, of one of the items.
--
-- Mostly there is nothing above _horizon with the first tag of an item: one probe of the index says so. Otherwise each item is one range
-- of the index, of its rarest tag; each event of it is looked up with the other tags.
create or replace function first_unseen(_query json, _horizon bigint, _seen bigint[]) returns bigint
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _tag   text;
  _tags  text[];
  _types text[];
  _rare  text;
  _found bigint;
  _first bigint;
begin
  for _tag, _tags, _types in
    select i -> 'tags' ->> 0, array(select distinct t from json_array_elements_text(i -> 'tags') as t),
           case when json_typeof(i -> 'types') = 'array' then array(select json_array_elements_text(i -> 'types')) end
    from json_array_elements(_query) as i
  loop
    perform from event_tags t where t.tag = _tag and t.position > _horizon limit 1;
    continue when not found;
    _rare := rarest(_tags, _horizon, 9223372036854775807);
    select t.position into _found
    from event_tags t
    where t.tag = _rare and t.position > _horizon and t.position < coalesce(_first, 9223372036854775807)
      and t.position <> all (_seen)
      and (cardinality(_tags) = 1 or (
        select count(*) from event_tags o where o.tag = any (_tags) and o.position = t.position
      ) = cardinality(_tags))
      and (_types is null or (select e.type from events e where e.position = t.position) = any (_types))
    order by t.position limit 1;
    if found then
      _first := _found;
    end if;
  end loop;
  return _first;
end
$$;
