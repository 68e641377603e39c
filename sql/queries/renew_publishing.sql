select meowmx.renew_publishing($1, $2, $3)
