-- append_tagged for one event: without arrays and JSON to take apart it takes half the time. _shared are the tags of the event; _query,
-- _horizon and _seen are its condition (null: it has none). If the condition does not hold, `failed` is the first event that was not seen.
create or replace function append_one_tagged(
  _category text, _stream_id text, _expected int, _lookup boolean, _careful boolean, _id uuid, _type text, _data json, _metadata json,
  _exclusive text[], _shared text[], _query json, _horizon bigint, _seen bigint[], _wait boolean,
  out outcome text, out version int, out "position" bigint, out recorded_at bigint, out failed json
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _unseen bigint;
  _void   text;
begin
  if _query is not null and current_setting('transaction_isolation') <> 'read committed' then
    _void := refuse_isolation();
  end if;
  if not lock_tags(_exclusive, _shared, _wait) then
    outcome := 'busy';
    return;
  end if;
  if _query is not null then
    if cardinality(_seen) > 0 or _horizon > last_position() then
      _void := refuse_ahead(_horizon, _seen);
    end if;
    _unseen := first_unseen(_query, _horizon, _seen);
    if _unseen is not null then
      _expected := -4; -- no version is that: the request is refused, unless its id is known
    end if;
  end if;

  if cardinality(_shared) > 0 then
    _void := allow_tags();
  end if;
  select a.outcome, a.version, a.position, a.recorded_at
  into append_one_tagged.outcome, append_one_tagged.version, append_one_tagged.position, append_one_tagged.recorded_at
  from append_one(_category, _stream_id, _expected, _lookup, _careful, _id, _type, _data, _metadata) as a;
  _void := done_tagging();
  if append_one_tagged.position is not null then
    insert into event_tags (tag, position) select tag, append_one_tagged.position from unnest(_shared) as tag;
  elsif _unseen is not null and outcome = 'conflict' then
    outcome := 'failed';
    failed := event_at(_unseen);
  end if;
end
$$;
