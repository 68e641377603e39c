-- An append with tags or a condition locks them, before it looks and before it takes a position: shared what it writes, exclusive one
-- tag of each item of its condition, which every event that matches the item carries. The locks are kept until the transaction ends.
--
-- So between the look and the commit of a conditional append nobody can write an event that matches; and what is written after it
-- takes a higher position.
--
-- Without _wait it returns false if somebody else has one of them; then the transaction has to end.
--
-- All of a call are taken in the order of their keys, so that two calls never wait for each other. More than 256 would fill the lock
-- table, which all share: then one lock stands for all tags. Appends with fewer share it.
create or replace function lock_tags(_exclusive text[], _shared text[], _wait boolean) returns boolean
language plpgsql
set search_path from current
as $$
declare
  _key  bigint;
  _only boolean;
  _void text;
  _is_ours boolean := true;
begin
  if cardinality(_exclusive) + cardinality(_shared) > 256 then
    if not _wait then
      return pg_try_advisory_xact_lock(tag_key(null));
    end if;
    _void := pg_advisory_xact_lock(tag_key(null));
    return true;
  end if;
  if _wait then
    _void := pg_advisory_xact_lock_shared(tag_key(null));
  else
    _is_ours := pg_try_advisory_xact_lock_shared(tag_key(null));
  end if;
  for _key, _only in
    select given.key, bool_or(given.only)
    from (
      select tag_key(tag) as key, true as only from unnest(_exclusive) as tag
      union all
      select tag_key(tag), false from unnest(_shared) as tag
    ) as given
    group by given.key order by given.key
  loop
    if not _wait then
      exit when not _is_ours;
      if _only then
        _is_ours := pg_try_advisory_xact_lock(_key);
      else
        _is_ours := pg_try_advisory_xact_lock_shared(_key);
      end if;
    elsif _only then
      _void := pg_advisory_xact_lock(_key);
    else
      _void := pg_advisory_xact_lock_shared(_key);
    end if;
  end loop;
  return _is_ours;
end
$$;
