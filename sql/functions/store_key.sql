-- First integer of a lock for the whole store: the oid of its events table.
create or replace function store_key() returns int
language sql stable
return 'events'::regclass::oid::bigint::bit(32)::int;
