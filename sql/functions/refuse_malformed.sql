-- Refuse an event that is not well formed, unless it is one of two exceptions. A restore takes old times and metadata as
-- they are: readers cope with them. A tombstone comes from a role that may erase (erase_stream.sql).
create or replace function refuse_malformed(_event events) returns void
language plpgsql
as $$
declare
  _name  text;
  _wrong text;
begin
  foreach _name in array array[_event.category, _event.stream_id, _event.type] loop
    if _name = '' or char_length(_name) > 255 then
      _wrong := format('has the name "%s": a category, a stream id and a type have 1 to 255 characters', left(_name, 255));
    end if;
  end loop;
  if _event.version not between 0 and 2147483646 then
    _wrong := 'has a version that is not between 0 and 2147483646';
  elsif greatest(octet_length(_event.data::text), octet_length(_event.metadata::text)) > 402653184 then
    _wrong := 'has data or metadata of more than 384 MiB';
  elsif _wrong is null and strict() then
    if not (_event.recorded_at >= '0001-01-01 00:00:00+00' and _event.recorded_at < '9999-12-31 00:00:00+00') then
      _wrong := format('has the recorded_at %s, which is not between the years 1 and 9999', _event.recorded_at);
    elsif json_typeof(_event.metadata) <> 'object' then
      _wrong := format('has metadata that is no JSON object: %s', left(_event.metadata::text, 80));
    elsif starts_with(_event.type, '$') and not accept_tombstone(_event) then
      raise exception 'version % of stream "%" of category "%" has the type "%": types that begin with $ are reserved',
        _event.version, _event.stream_id, _event.category, _event.type
        using errcode = 'check_violation',
              hint = 'Only a role that may erase can write $erased: by erase_stream, or as a copy of an erased stream.';
    end if;
  end if;
  if _wrong is not null then
    raise exception 'version % of stream "%" of category "%" %', _event.version, left(_event.stream_id, 255),
      left(_event.category, 255), _wrong using errcode = 'check_violation';
  end if;
end
$$;
