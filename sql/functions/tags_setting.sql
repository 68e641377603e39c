-- The setting by which the append functions tell the trigger that the tags of what they insert are locked: the transaction's id.
create or replace function tags_setting() returns text
language sql stable
return 'meowmx.tagged_' || 'events'::regclass::oid::text;
