-- The horizon of one category or of several together, or (none) of the whole store.
create or replace function horizon(variadic _categories text[] default '{}') returns bigint
language sql
set search_path from current
as $$
  select min(horizon) from horizons()
  where key is null or key = -1 or key in (select category_key(name) from unnest(_categories) as name)
    or cardinality(_categories) = 0 and key = store_key()
$$;
