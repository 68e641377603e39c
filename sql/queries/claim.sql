select partition, epoch, reached, fresh, share, wait_ms from meowmx.claim($1, $2, $3, $4, $5, $6)
