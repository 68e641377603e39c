select meowmx.await_position($1, $2, $3, $4)
