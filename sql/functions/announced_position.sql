-- The position that was announced with a key, or null. The key becomes text by a cast, which is immutable: without it, || is only
-- stable, and then PostgreSQL calls and plans this function on each append instead of inlining it.
create or replace function announced_position(_announced text, _key int) returns bigint
language sql immutable
return nullif(split_part(split_part(_announced, '|' || _key::text || '=', 2), '|', 1), '')::bigint;
