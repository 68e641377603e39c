-- The timers whose keys begin with a prefix, in the order of their due times.
select t.key, floor(date_part('epoch', t.due) * 1000), t.category, t.stream_id, t.write, t.attempts, t.error,
       floor(date_part('epoch', t.next_at) * 1000)
from meowmx.timers t
where starts_with(t.key, $1)
order by t.due, t.key
limit $2
