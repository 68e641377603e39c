select meowmx.release($1, 0, $2, $3)
