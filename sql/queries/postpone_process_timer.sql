-- A timer of an instance could not get a lock: it is tried again later, the later the longer it is due, and no attempt counts.
-- It does not wait for locks.
update meowmx.process_timers t
set next_at = clock_timestamp() + least(interval '5 s', greatest(interval '250 ms', clock_timestamp() - t.due))
where t.process = $1 and (t.id, t.name) = (
  select o.id, o.name from meowmx.process_timers o
  where o.process = $1 and o.id = $2 and o.name = $3 and floor(date_part('epoch', o.due) * 1000)::bigint = $4
  for update skip locked
)
