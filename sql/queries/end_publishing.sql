select meowmx.end_publishing($1)
