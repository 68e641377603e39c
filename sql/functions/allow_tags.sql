-- Says for this transaction, until done_tagging(), that it has locked the tags of what it inserts.
create or replace function allow_tags() returns text
language sql volatile
return set_config(tags_setting(), pg_current_xact_id()::text, true);
