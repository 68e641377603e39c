select meowmx.quiet_claim($1)
