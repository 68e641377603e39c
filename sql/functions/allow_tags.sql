-- Notes until done_tagging() that this transaction has locked the tags of the events that it inserts.
create or replace function allow_tags() returns text
language sql volatile
return set_config(tags_setting(), pg_current_xact_id()::text, true);
