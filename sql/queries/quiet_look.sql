-- Whether nobody conducts, for how long somebody does (milliseconds), and where nobody does, and $1: how many appends wait.
select
  pg_catalog.count(*) = 0, pg_catalog.max(until) - meowmx.now_ms(),
  case when pg_catalog.count(*) = 0 and $1 then meowmx.quiet_waiting() else 0 end
from meowmx.conductor where not closed
