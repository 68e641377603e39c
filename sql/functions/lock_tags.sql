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
--
-- It relies on the search_path of the functions that call it. One query locks all of them, in the order of the subquery.
create or replace function lock_tags(_exclusive text[], _shared text[], _wait boolean) returns boolean
language plpgsql
as $$
begin
  if cardinality(_exclusive) + cardinality(_shared) > 256 then
    if _wait then
      perform pg_advisory_xact_lock(tag_key(null));
      return true;
    end if;
    return pg_try_advisory_xact_lock(tag_key(null));
  end if;
  if _wait then
    perform pg_advisory_xact_lock_shared(tag_key(null)), (
      select count(case when l.only then pg_advisory_xact_lock(l.key)::text else pg_advisory_xact_lock_shared(l.key)::text end)
      from (
        select given.key, bool_or(given.only) as only
        from (
          select tag_key(tag) as key, true as only from unnest(_exclusive) as tag
          union all
          select tag_key(tag), false from unnest(_shared) as tag
        ) as given
        group by given.key order by given.key
      ) as l
    );
    return true;
  end if;
  return pg_try_advisory_xact_lock_shared(tag_key(null)) and (
    select bool_and(case when l.only then pg_try_advisory_xact_lock(l.key) else pg_try_advisory_xact_lock_shared(l.key) end)
    from (
      select given.key, bool_or(given.only) as only
      from (
        select tag_key(tag) as key, true as only from unnest(_exclusive) as tag
        union all
        select tag_key(tag), false from unnest(_shared) as tag
      ) as given
      group by given.key order by given.key
    ) as l
  );
end
$$;
