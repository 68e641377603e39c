-- Channel and lock key of each of these categories, or (none) of the store.
select meowmx.channel(name), meowmx.category_key(name)
from pg_catalog.unnest($1::text[]) as name
union all
select meowmx.channel(), meowmx.store_key()
where pg_catalog.cardinality($1::text[]) = 0
