-- Who holds horizons back: functions/stallers.sql.
select pid, application, database, since_ms, query, category, every
from meowmx.stallers()
