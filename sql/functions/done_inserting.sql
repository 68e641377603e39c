-- The append function has inserted its rows: removes its flag. Announcements of other triggers stay.
create or replace function done_inserting() returns text
language sql volatile
return set_config(announcement_setting(), ltrim(current_setting(announcement_setting()), '!'), true);
