select partition, category, stream_id, position, attempts, replaying from meowmx.parked_streams($1, $2)
