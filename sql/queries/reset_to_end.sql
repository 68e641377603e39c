-- To the horizon of what the subscription selects.
select meowmx.reset_subscription($1, (
  select meowmx.horizon(variadic coalesce(s.categories, '{}')) from meowmx.subscriptions s where s.name = $1
))
