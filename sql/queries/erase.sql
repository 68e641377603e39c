-- Empty a stream's events: 012_erase.sql says how. The tombstone is null where there is none.
select erased, case when position is not null then {{event}} end
from (select e.erased, (e.tombstone).* from meowmx.erase_stream($1, $2, $3) as e) as result
