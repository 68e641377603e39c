-- A waiter goes.
delete from meowmx.waiters where subscription = $1 and position = $2 and id = $3
