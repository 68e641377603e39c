-- A timer could not get a lock: it is tried again later, the later the longer it is due, and no attempt counts. It does not
-- wait for locks.
update meowmx.timers t
set next_at = clock_timestamp() + least(interval '5 s', greatest(interval '250 ms', clock_timestamp() - t.due))
where t.key = (
  select o.key from meowmx.timers o
  where o.key = $1 and (date_part('epoch', o.due) * 1000000)::bigint = $2 for update skip locked
)
