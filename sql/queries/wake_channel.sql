select meowmx.wake_channel($1)
