-- append() with tags or a condition: checks what is given, and calls append_tagged for it as one request. In `failed` is the first event
-- that was not seen.
create or replace function append_given(
  _category text, _stream_id text, _list json, _expected int, _condition json,
  out outcome text, out version int, out duplicate uuid, out ids uuid[], out failed json
)
language plpgsql
set search_path from current
as $$
declare
  _ready  json;
  _shared text[];
  _locked text[] := '{}';
  _query  json;
  _after  json;
  _seen   record;
begin
  if exists (select from json_array_elements(_list) as e where e -> 'metadata' -> '$tags' is not null) then
    raise exception 'metadata must not have "$tags": give an event''s "tags" beside its metadata' using errcode = 'invalid_parameter_value';
  end if;
  select e -> 'metadata' into _ready from json_array_elements(_list) as e where json_typeof(e -> 'metadata') not in ('object', 'null') limit 1;
  if found then
    raise exception 'metadata must be an object, got %', left(_ready::text, 80) using errcode = 'invalid_parameter_value';
  end if;
  select json_agg(json_build_object('r', 1, 'n', g.n - 1, 'i', g.id, 't', e ->> 'type', 'd', e -> 'data', 'm', case
           when g.tags is null then g.metadata
           else ('{"$tags":' || array_to_json(g.tags)::text || case g.inner when '' then '}' else ',' || g.inner || '}' end)::json
         end) order by g.n),
         array_agg(g.id order by g.n)
  into _ready, ids
  from (
    select e, n, coalesce((e ->> 'id')::uuid, gen_random_uuid()) as id, given_tags(e -> 'tags', 'the tags of an event') as tags, m.metadata,
           btrim(substr(btrim(m.metadata::text, E' \n\r\t'), 2, length(btrim(m.metadata::text, E' \n\r\t')) - 2), E' \n\r\t') as inner
    from json_array_elements(_list) with ordinality as l (e, n)
    cross join lateral (select case when e ->> 'metadata' is null then '{}' else e -> 'metadata' end as metadata) as m
  ) as g;
  _shared := array(
    select distinct t from json_array_elements(_list) as e cross join lateral unnest(given_tags(e -> 'tags', 'the tags of an event')) as t
  );
  if cardinality(ids) > (select count(distinct i) from unnest(ids) as i) then
    raise exception 'an event id occurs twice in one call: %', ids using errcode = 'invalid_parameter_value';
  end if;

  select 0::bigint as horizon, '{}'::bigint[] as positions into _seen;
  if _condition is not null then
    if json_typeof(_condition) <> 'object' or exists (select from json_object_keys(_condition) as k where k not in ('query', 'after')) then
      raise exception 'a condition must be {"query", "after"}, got %', left(_condition::text, 80) using errcode = 'invalid_parameter_value';
    end if;
    _query := given_query(_condition -> 'query');
    _after := _condition -> 'after';
    if json_typeof(_after) <> 'null' then
      select s.horizon, s.positions into _seen from read_seen(_condition ->> 'after') as s;
    end if;
    _locked := array(select distinct i -> 'tags' ->> 0 from json_array_elements(_query) as i);
  end if;

  if cardinality(ids) = 1 then
    select a.outcome, a.version, a.failed into strict append_given.outcome, append_given.version, append_given.failed
    from append_one_tagged(
      _category, _stream_id, _expected, true, true, ids[1], _ready -> 0 ->> 't', coalesce(_ready -> 0 -> 'd', 'null'), _ready -> 0 -> 'm',
      _locked, _shared, _query, _seen.horizon, _seen.positions, true
    ) as a;
    duplicate := case when outcome = 'duplicate' then ids[1] end;
    return;
  end if;

  if _query is not null then
    _query := json_build_array(json_build_object('r', 1, 'query', _query, 'horizon', _seen.horizon, 'seen', _seen.positions));
  end if;
  select a.outcome[1], a.version[1], a.duplicate[1], a.failed -> '1'
  into strict append_given.outcome, append_given.version, append_given.duplicate, append_given.failed
  from append_tagged(
    array[_category], array[_stream_id], array[1], array[cardinality(ids)], array[_expected], true, true, _ready, true,
    _locked, _shared, _query, true
  ) as a;
end
$$;
