-- Who holds horizons back: 003_horizon.sql.
select pid, application, database, since_ms, query, category, every
from meowmx.stallers()
