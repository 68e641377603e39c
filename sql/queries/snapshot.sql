-- What a decider remembers of a stream below version $5, if the event it was taken at is the one that stands there.
select s.version, e.position, s.state
from meowmx.snapshots s
join meowmx.events e
  on e.category = s.category and e.stream_id = s.stream_id and e.version = s.version and e.id = s.event_id
where s.category = $1 and s.stream_id = $2 and s.name = $3 and s.snapshot_version = $4 and s.version < $5::bigint
