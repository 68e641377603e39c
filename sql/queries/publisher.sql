-- Whether the lease is closed; if not, for how many ms it lasts; if so, and $1: how many appends wait for each other.
select
  pg_catalog.count(*) = 0, pg_catalog.max(until) - meowmx.now_ms(),
  case when pg_catalog.count(*) = 0 and $1 then meowmx.waiting_for_notify() else 0 end
from meowmx.publisher where not closed
