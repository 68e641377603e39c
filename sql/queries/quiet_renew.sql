select meowmx.quiet_renew($1, $2, $3)
