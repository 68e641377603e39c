select meowmx.bell($1)
