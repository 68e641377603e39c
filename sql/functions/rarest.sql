-- A tag that few events carry, above _low and up to _high, compared with the others. It counts no further than it must: first up to 64
-- events a tag, then up to 4,096 and so on. Of the first round it takes the first tag that has fewer, for that is few enough.
create or replace function rarest(_tags text[], _low bigint, _high bigint) returns text
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
  _most  bigint := 64;
  _least bigint;
  _count bigint;
  _tag   text;
  _best  text;
begin
  if cardinality(_tags) = 1 then
    return _tags[1];
  end if;
  loop
    _least := null;
    foreach _tag in array _tags loop
      select count(*) into _count from (
        select from event_tags t where t.tag = _tag and t.position > _low and t.position <= _high limit _most
      ) as few;
      if _least is null or _count < _least then
        _least := _count;
        _best := _tag;
      end if;
      exit when _count < 64;
    end loop;
    exit when _least < _most;
    _most := _most * 64;
  end loop;
  return _best;
end
$$;
