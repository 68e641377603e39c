-- The last position that was handed out; one below the first, where none was.
--
-- A query of last_value reads a row that nextval may be at work on: nextval writes a value up to 32 ahead to it, to log
-- it, and then takes it back (seen once in two million reads). An append that announced such a p would be refused, and a
-- reader that took it for the head would pass over events. This function waits for nextval. It tells nothing where
-- nothing was handed out, or, from PostgreSQL 18 on, who asks may not know: then the select says so.
create or replace function last_position() returns bigint
language sql volatile
return coalesce(pg_sequence_last_value('events_position_seq'), unused_position());
