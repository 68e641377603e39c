-- Checks a given query: an array of 1 to 32 items with 1 to 32 tags each.
create or replace function given_query(_query json) returns json
language plpgsql immutable
set search_path from current
as $$
declare
  _list constant json := case json_typeof(_query) when 'array' then _query else json_build_array(_query) end;
  _item json;
begin
  if json_array_length(_list) not between 1 and 32 then
    raise exception 'a query must have 1 to 32 items, got %', json_array_length(_list) using errcode = 'invalid_parameter_value';
  end if;
  for _item in select i from json_array_elements(_list) as i loop
    if coalesce(json_typeof(_item), '') <> 'object' or given_tags(_item -> 'tags', 'the tags of a query''s item') is null then
      raise exception 'an item of a query must have "tags", got %', coalesce(left(_item::text, 80), 'null') using errcode = 'invalid_parameter_value';
    elsif _item -> 'types' is not null and (
      json_typeof(_item -> 'types') <> 'array' or json_array_length(_item -> 'types') = 0
      or exists (select from json_array_elements(_item -> 'types') as t where json_typeof(t) <> 'string')
    ) then
      raise exception 'the types of a query''s item must be an array of texts, got %', left(_item::text, 80) using errcode = 'invalid_parameter_value';
    elsif exists (select from json_object_keys(_item) as k where k not in ('tags', 'types')) then
      raise exception 'an item of a query has tags and types, and nothing else, got %', left(_item::text, 80) using errcode = 'invalid_parameter_value';
    end if;
  end loop;
  return _list;
end
$$;
