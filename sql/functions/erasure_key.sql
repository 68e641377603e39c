-- The key of an advisory lock, of the one-integer kind, that an erasure of a stream takes, and that those share who save
-- snapshots of the stream. There are 1,024 of them a store, so that a transaction that saves thousands does not fill the lock
-- table.
create or replace function erasure_key(_category text, _stream_id text) returns bigint
language sql stable
return ('events'::regclass::oid::bigint << 10)
       + (hashtextextended(_category || '/' || _stream_id, 'events'::regclass::oid::bigint) & 1023);
