-- A single event, inside a transaction that must survive a lost race: written by one row or not at all, so there is
-- nothing to undo, and no need of a subtransaction (more than 64 of them in one slow everybody down).
select outcome, version, duplicate, positions, recorded_at
from meowmx.append_batch($1, $2, $3, $4, $5, $6, $7, true, $8)
