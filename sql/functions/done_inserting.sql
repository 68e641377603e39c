-- The append function has inserted: takes its flag away. What triggers of others have announced meanwhile stays announced.
create or replace function done_inserting() returns text
language sql volatile
return set_config(announcement_setting(), ltrim(current_setting(announcement_setting()), '!'), true);
