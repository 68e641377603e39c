-- When the next timer of a process manager is due: in how many ms (0 or less: it is), and in ms since 1970.
select ceil(date_part('epoch', t.next_at - clock_timestamp()) * 1000), floor(date_part('epoch', t.next_at) * 1000)
from meowmx.process_timers t
where t.process = $1 and t.next_at is not null
  and not exists (select from meowmx.subscriptions s where s.name = $1 and s.paused_at is not null)
order by t.next_at limit 1
