select meowmx.advance($1, 0, $2, $3, $4)
