-- First integer of a lock for one category; the oid as seed keeps two stores in one database apart. A collision of
-- two categories only makes one wait for the other. -1 stands for every category at once.
create or replace function category_key(_category text) returns int
language sql stable
return (hashtextextended(_category, 'events'::regclass::oid::bigint) & 2147483647)::int;
