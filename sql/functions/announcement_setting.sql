-- The setting that holds what the current transaction has announced, one for each store. (With the cast to text, all of it is a
-- constant for the planner.)
create or replace function announcement_setting() returns text
language sql stable
return 'meowmx.announced_' || 'events'::regclass::oid::text;
