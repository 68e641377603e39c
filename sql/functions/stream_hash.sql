-- The hash that spreads streams over partitions: 31 bits, the same for ever.
create or replace function stream_hash(_category text, _stream_id text) returns bigint
language sql immutable
return hashtextextended(_stream_id, hashtextextended(_category, 0)) & 2147483647;
