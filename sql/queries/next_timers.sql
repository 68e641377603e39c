-- When the next timer is due: in how many ms (0 or less: it is), and in ms since 1970.
select ceil(date_part('epoch', t.next_at - clock_timestamp()) * 1000), floor(date_part('epoch', t.next_at) * 1000)
from meowmx.timers t where t.next_at is not null
order by t.next_at limit 1
