-- What this transaction has announced: '|<key>=<p>|<key>=<p>|', or nothing; announced_position() reads one key of it.
--
-- The setting is transaction-local, so a rollback to a savepoint takes it back together with the locks. It names the table and
-- the transaction, so that neither another store nor a setting that a pool replays is mistaken for it.
create or replace function read_announcement() returns text
language sql stable
return split_part(current_setting(announcement_setting(), true), '#' || pg_current_xact_id_if_assigned() || '#', 2);
