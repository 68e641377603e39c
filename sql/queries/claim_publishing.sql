select meowmx.claim_publishing($1)
