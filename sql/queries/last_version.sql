-- The version of a stream's last event; -1 if there is none.
select coalesce((
  select e.version from meowmx.events e
  where e.category = $1 and e.stream_id = $2 order by e.version desc limit 1
), -1)
