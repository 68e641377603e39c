-- Channel of a category, or (null) of the whole store. A name of more than PostgreSQL's 63 bytes is replaced by its hash.
create or replace function channel_of(_schema text, _category text) returns text
language sql immutable
return case
  when _category is null then _schema
  when octet_length(_schema || '.' || _category) <= 63 then _schema || '.' || _category
  when octet_length(_schema) <= 29 then _schema || '.#' || md5(_category)
  else '#' || md5(_schema || '.' || _category)
end;
