-- The key of an advisory lock (of the one-integer kind). An erasure of a stream takes it; transactions that save snapshots of the
-- stream share it. A store has 1,024 such keys, so that a transaction that saves thousands of snapshots does not fill the lock
-- table.
create or replace function erasure_key(_category text, _stream_id text) returns bigint
language sql stable
return ('events'::regclass::oid::bigint << 10)
       + (hashtextextended(_category || '/' || _stream_id, 'events'::regclass::oid::bigint) & 1023);
