select meowmx.delete_subscription($1)
