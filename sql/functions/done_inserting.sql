-- The append function has inserted: puts '+' in the place of its flag. What triggers of others have announced meanwhile stays
-- announced. In appended(), '+' tells an append inside of a trigger from an INSERT that took the flag of append_one().
create or replace function done_inserting() returns text
language sql volatile
return set_config(announcement_setting(), concat('+', ltrim(current_setting(announcement_setting()), '!+')), true);
