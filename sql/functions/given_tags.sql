-- The tags that append() was given: checked, sorted and without duplicates; null: none. At most 32, each of 1 to 255
-- characters.
create or replace function given_tags(_tags json, _what text) returns text[]
language plpgsql immutable
as $$
declare
  _sorted text[];
begin
  if _tags is null or json_typeof(_tags) = 'null' then
    return null;
  elsif json_typeof(_tags) <> 'array' or exists (select from json_array_elements(_tags) as t where json_typeof(t) <> 'string') then
    raise exception '% must be an array of texts, got %', _what, left(_tags::text, 80) using errcode = 'invalid_parameter_value';
  end if;
  _sorted := array(select distinct t collate "C" as tag from json_array_elements_text(_tags) as t order by tag);
  if cardinality(_sorted) > 32 or exists (select from unnest(_sorted) as t where char_length(t) not between 1 and 255) then
    raise exception '% must be at most 32 tags, each of 1 to 255 characters, got %', _what, left(_tags::text, 80)
      using errcode = 'invalid_parameter_value';
  end if;
  return nullif(_sorted, '{}');
end
$$;
