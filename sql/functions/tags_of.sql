-- The tags of an event, as its metadata holds them; null: it has none.
create or replace function tags_of(_metadata json) returns text[]
language sql stable
begin atomic
  select array_agg(t.tag) from json_array_elements_text(
    case when starts_with(_metadata::text, '{"$tags":[') then _metadata -> '$tags' end
  ) as t (tag);
end;
