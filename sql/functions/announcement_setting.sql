-- The setting that holds what the current transaction has announced, one for each store.
create or replace function announcement_setting() returns text
language sql stable
return 'meowmx.announced_' || 'events'::regclass::oid;
