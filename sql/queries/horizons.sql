-- All horizons at once, or nothing where none can have moved since the head was $1.
select key, horizon, head
from meowmx.horizons($1)
