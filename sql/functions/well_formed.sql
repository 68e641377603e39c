-- Whether every reader can obviously read an event: names of at most 255 bytes, a version that leaves room for the next
-- one, a time whose year has four digits, JSON that fits into one JavaScript string, metadata that is a JSON object, and a type
-- that is neither empty nor reserved ($ and what sorts before it).
--
-- It runs for each row, so it is short, and it may return false for a well-formed event: refuse_malformed() decides about
-- those. For example, it looks at the stored size of JSON, which may be compressed: to 1/255 at most, so 1 MiB holds less than
-- 384 MiB.
create or replace function well_formed(
  _category text, _stream_id text, _type text, _version int, _recorded_at timestamptz, _data json, _metadata json
) returns boolean
language sql stable
return _version >= 0 and _version < 2147483647
  and _category <> '' and _stream_id <> '' and ascii(_type) > ascii('$')
  and greatest(octet_length(_category), octet_length(_stream_id), octet_length(_type)) <= 255
  and _recorded_at >= '0001-01-01 00:00:00+00' and _recorded_at < '9999-12-31 00:00:00+00'
  and greatest(pg_column_size(_data), pg_column_size(_metadata)) <= 1048576
  and json_typeof(_metadata) = 'object';
