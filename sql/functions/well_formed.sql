-- Whether every reader can read an event: names of 1 to 255 characters, a version that leaves room for the next one, a time
-- whose year has four digits, JSON that fits into one JavaScript string, metadata that is a JSON object, and no reserved
-- type. It runs for each row, so what is usual is found out by what is cheap: characters are counted only above 255 bytes,
-- and metadata is looked at only if its first character is no brace. refuse_malformed() says what is wrong.
create or replace function well_formed(
  _category text, _stream_id text, _type text, _version int, _recorded_at timestamptz, _data json, _metadata json
) returns boolean
language sql immutable
return _version between 0 and 2147483646 and _category <> '' and _stream_id <> '' and _type <> ''
  and (
    octet_length(_category) <= 255 and octet_length(_stream_id) <= 255 and octet_length(_type) <= 255
    or char_length(_category) <= 255 and char_length(_stream_id) <= 255 and char_length(_type) <= 255
  )
  and ascii(_type) <> ascii('$')
  and _recorded_at >= '0001-01-01 00:00:00+00' and _recorded_at < '9999-12-31 00:00:00+00'
  and octet_length(_data::text) <= 402653184 and octet_length(_metadata::text) <= 402653184 -- 384 MiB
  and (ascii(_metadata::text) = ascii('{') or json_typeof(_metadata) = 'object');
