-- The append function has inserted. What others have announced meanwhile, in triggers of theirs, stays announced.
create or replace function done_inserting() returns text
language sql volatile
return set_config(mark_name(), ltrim(current_setting(mark_name()), '!'), true);
