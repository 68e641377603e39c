-- The work of append(). _store: the table of events that append() belongs to. If the schema was renamed, names lead elsewhere, and
-- nothing is written.
create or replace function append_to(_store regclass, _category text, _stream_id text, _events json, _expected text, _condition json)
returns setof events
language plpgsql
set search_path from current
as $$
declare
  _list    constant json := case json_typeof(_events) when 'array' then _events else json_build_array(_events) end;
  _size    constant int := json_array_length(_list);
  _version int; -- the number that stands for _expected
  _first   constant json := _list -> 0;
  _ready   json;
  _ids     uuid[];
  _outcome text;
  _last    int;
  _known   uuid;
  _failed  json;
begin
  if to_regclass('events') is distinct from _store then
    raise exception 'schema "%" was renamed or copied, and its functions still work in schema %',
      (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = _store),
      split_part(current_setting('search_path'), ', pg_temp', 1)
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  _version := expected_version(_expected);
  if _size = 0 then
    return;
  elsif _condition is not null or strpos(_events::text, '"tags"') > 0 then
    select a.outcome, a.version, a.duplicate, a.ids, a.failed into strict _outcome, _last, _known, _ids, _failed
    from append_given(_category, _stream_id, _list, _version, _condition) as a;
  elsif _size = 1 then
    _known := (_first ->> 'id')::uuid;
    _ids := array[coalesce(_known, gen_random_uuid())];
    select outcome, version into strict _outcome, _last from append_one(
      _category, _stream_id, _version, _known is not null, true, _ids[1], _first ->> 'type', coalesce(_first -> 'data', 'null'),
      case when _first ->> 'metadata' is null then '{}' else _first -> 'metadata' end
    );
  else
    select json_agg(json_build_object('r', 1, 'n', n - 1, 'i', id, 't', e ->> 'type', 'd', e -> 'data', 'm', e -> 'metadata') order by n),
           array_agg(id order by n)
    into _ready, _ids
    from (
      select e, n, coalesce((e ->> 'id')::uuid, gen_random_uuid()) as id from json_array_elements(_list) with ordinality as l (e, n)
    ) as given;

    if cardinality(_ids) > (select count(distinct id) from unnest(_ids) as id) then
      raise exception 'an event id occurs twice in one call: %', _ids using errcode = 'invalid_parameter_value';
    end if;

    select outcome[1], version[1], duplicate[1] into strict _outcome, _last, _known from append_guarded(
      array[_category], array[_stream_id], array[1], array[_size], array[_version], true, true, _ready
    );
  end if;

  case _outcome
    when 'failed' then
      raise exception 'the condition does not hold: event %, "%" of stream "%/%" at position %, matches it and was not seen',
        _failed ->> 'id', _failed ->> 'type', _failed #>> '{stream,category}', _failed #>> '{stream,streamId}', _failed ->> 'position'
        using errcode = 'MW020', hint = 'Query again, decide again and retry.';
    when 'conflict' then
      raise exception 'stream "%/%" is at version %, expected %', _category, _stream_id, _last, _expected
        using errcode = 'MW006';
    when 'duplicate' then
      raise exception 'event id % is already recorded with a different stream, type or data, or as part of another call', _known
        using errcode = 'MW007';
    else
      return query select e.* from events e where e.id = any (_ids) order by e.version;
  end case;
end
$$;
