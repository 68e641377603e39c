-- What this transaction has announced: '|<key>=<p>|<key>=<p>|', or nothing. Its mark is transaction-local, so a rollback to a
-- savepoint takes it back together with the locks; it names the table and the transaction, so that neither another store
-- nor a setting that a pool replays is mistaken for it. It begins with '!' while the append function inserts.
create or replace function announced() returns text
language sql stable
return split_part(current_setting(mark_name(), true), '#' || pg_current_xact_id_if_assigned() || '#', 2);
