-- Keeps what this transaction has announced, until it ends. `_flag` is '!' while the append function inserts, else ''.
--
-- Functions that only check the flag, check for '|-1=', or remove the flag do so themselves: announce_every, appended and
-- done_inserting. Each further call costs 1 to 2 % of an append.
create or replace function write_announcement(_flag text, _announced text) returns text
language sql volatile
return set_config(announcement_setting(), _flag || '#' || pg_current_xact_id() || '#' || _announced, true);
