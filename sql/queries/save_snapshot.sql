-- The latest takes the place of the one before, whichever is newer: what counts is found out when it is read.
insert into meowmx.snapshots (category, stream_id, name, snapshot_version, version, event_id, state)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (category, stream_id, name) do update set
  snapshot_version = excluded.snapshot_version, version = excluded.version, event_id = excluded.event_id,
  state = excluded.state, saved_at = excluded.saved_at
