-- What deciders remember of long streams, so that they need not fold all of it each time. A cache and nothing but: a row
-- may be wrong, old or gone. It counts only while the event that it was taken at is the one that stands in the log at that
-- version (queries/snapshot.sql), so that a restore, a failover or an erasure leaves nothing behind that is believed.
--
-- name              the decider's; several may keep a state of the same stream
-- snapshot_version  of the state's shape: a decider that has changed ignores what its predecessor remembered
create table snapshots (
  saved_at         timestamptz      not null default clock_timestamp(),
  event_id         uuid             not null,
  version          int              not null,
  snapshot_version int              not null,
  category         text collate "C" not null,
  stream_id        text collate "C" not null,
  name             text collate "C" not null,
  state            json             not null,
  primary key (category, stream_id, name)
);
