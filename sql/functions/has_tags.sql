-- Whether the event at a position carries all of these tags, each of which is given once. Callers use it only if a query has
-- tags.
create or replace function has_tags(_position bigint, _tags text[]) returns boolean
language sql stable
begin atomic
  select count(*) = cardinality(_tags) from event_tags t where t.tag = any (_tags) and t.position = _position;
end;
