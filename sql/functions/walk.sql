-- Walks through at most _most events above _low and up to _high, of one category or (_whole) of all. Returns how many there were,
-- how many of them are wanted, and the position of the last one. An event is wanted if it has one of these types and categories
-- and all of these tags (null: any) and lies above the checkpoint of its partition. _reached has the checkpoints by partition if they differ.
--
-- It is inlined into its callers, so a condition that is null costs nothing: most counts are answered from an index alone. The
-- planner sees neither the category nor the limit, and assumes that the category is rare. So it walks the index of categories, in
-- order.
create or replace function walk(
  _whole boolean, _category text, _low bigint, _high bigint, _most bigint,
  _types text[], _categories text[], _reached bigint[], _tags text[]
)
returns table (walked bigint, wanted bigint, last bigint)
language sql stable
begin atomic
  select count(*), count(*) filter (where x.is_wanted), max(x.position)
  from (
    select e.position,
           (_types is null or e.type = any (_types)) and (_categories is null or e.category = any (_categories))
           and (_tags is null or has_tags(e.position, _tags))
           and (_reached is null
             or e.position > _reached[1 + stream_hash(e.category, e.stream_id) % cardinality(_reached)]) as is_wanted
    from events e
    where e.position > (select _low) and e.position <= (select _high)
      and (_whole or e.category = (select _category))
    order by e.position limit (select _most)
  ) as x;
end;
