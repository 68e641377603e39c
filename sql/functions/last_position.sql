-- The last position that was assigned. If there is none yet, one less than the first position.
--
-- Reading last_value from the sequence is not safe. nextval writes a value up to 32 higher into that row, logs it, and then
-- writes the right one; a reader may see the higher value (seen once in two million reads). An append that announced it would
-- be refused, and a reader that took it for the head would skip events. This function waits for nextval. It returns null if
-- nothing was assigned yet and, from PostgreSQL 18 on, if the role may not know; then the select below decides.
create or replace function last_position() returns bigint
language sql volatile
return coalesce(pg_sequence_last_value('events_position_seq'), unused_position());
