select meowmx.replay_parked($1, $2)
