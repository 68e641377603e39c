select meowmx.reset_subscription($1, $2)
