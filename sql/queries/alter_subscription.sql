select meowmx.alter_subscription($1, $2)
