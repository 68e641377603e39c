-- Ends the session of a transaction that was given up. Its server process would not notice that its client is gone while it
-- works on a query or waits for a lock. The name is for the unlikely case that the process id is another's already.
select pg_catalog.pg_terminate_backend(pid)
from pg_catalog.pg_stat_activity
where pid = $1 and application_name = pg_catalog.current_setting('application_name')
