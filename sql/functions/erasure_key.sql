-- Whoever erases a stream waits for the snapshots of it that are being saved, and they for him. An advisory lock of the
-- one-integer kind; 1,024 of them a store, so that a transaction that saves thousands does not fill the lock table.
create or replace function erasure_key(_category text, _stream_id text) returns bigint
language sql stable
return ('events'::regclass::oid::bigint << 10)
       + (hashtextextended(_category || '/' || _stream_id, 'events'::regclass::oid::bigint) & 1023);
