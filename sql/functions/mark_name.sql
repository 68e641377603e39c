-- The setting that holds a transaction's mark, one for each store.
create or replace function mark_name() returns text
language sql stable
return 'meowmx.announced_' || 'events'::regclass::oid;
