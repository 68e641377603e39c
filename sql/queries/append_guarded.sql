-- Several events, inside a transaction that must survive a lost race.
select outcome, version, duplicate, positions, recorded_at
from meowmx.append_guarded($1, $2, $3, $4, $5, $6, $7, $8)
