select meowmx.quiet_close($1)
