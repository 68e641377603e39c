-- The key of a tag's advisory lock (of the one-integer kind), different in each store. Null: the key of all tags together.
create or replace function tag_key(_tag text) returns bigint
language sql stable
return hashtextextended(coalesce(_tag, ''), 'events'::regclass::oid::bigint + 4294967296);
