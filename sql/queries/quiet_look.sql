-- Whether nobody conducts, for how long somebody does (milliseconds), and where nobody does, and $1: how many appends wait.
select closed, until - meowmx.now_ms(), case when closed and $1 then meowmx.quiet_waiting() else 0 end
from meowmx.conductor
