-- The horizon of these categories, or (none) of the store.
select meowmx.horizon(variadic $1::text[])
