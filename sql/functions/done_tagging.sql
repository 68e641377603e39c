create or replace function done_tagging() returns text
language sql volatile
return set_config(tags_setting(), '', true);
