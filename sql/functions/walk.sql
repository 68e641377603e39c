-- Walk through the events above _low up to _high, of one category or (_whole) of all, and at most _most of them: how many
-- these were, how many of them are wanted, and the last one's position. Wanted are those of these types and categories (null:
-- of any) that lie above the checkpoint of their partition, if the checkpoints (_reached, by partition) are not equally far.
--
-- Inlined where it is called, so that a condition which is not there costs nothing: most counts are answered from an index
-- alone. The planner sees neither the category nor the limit, and takes the category for a rare one. So it walks the index of
-- categories, in order.
create or replace function walk(
  _whole boolean, _category text, _low bigint, _high bigint, _most bigint,
  _types text[], _categories text[], _reached bigint[]
)
returns table (walked bigint, wanted bigint, last bigint)
language sql stable
begin atomic
  select count(*), count(*) filter (where x.is_wanted), max(x.position)
  from (
    select e.position,
           (_types is null or e.type = any (_types)) and (_categories is null or e.category = any (_categories))
           and (_reached is null
             or e.position > _reached[1 + stream_hash(e.category, e.stream_id) % cardinality(_reached)]) as is_wanted
    from events e
    where e.position > (select _low) and e.position <= (select _high)
      and (_whole or e.category = (select _category))
    order by e.position limit (select _most)
  ) as x;
end;
