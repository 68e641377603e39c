-- The position that was announced with a key, or null.
create or replace function announced_position(_announced text, _key int) returns bigint
language sql immutable
return nullif(split_part(split_part(_announced, '|' || _key || '=', 2), '|', 1), '')::bigint;
