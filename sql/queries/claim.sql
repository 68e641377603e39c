select epoch, reached, wait_ms from meowmx.claim($1, 0, $2, $3)
