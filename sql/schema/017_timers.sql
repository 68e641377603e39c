-- Timers: what is to be appended later, once. The clock is the database's.
--
-- due       when it is to be appended
-- next_at   when the next attempt may begin; null: it has failed for good and waits for a person
-- attempts  how often it has failed
-- error     of the last attempt
-- write     {"expected": ..., "events": [{"type": ..., "data": ..., "metadata": ..., "id": ...}]}, for the stream beside it
create table timers (
  due       timestamptz      not null,
  next_at   timestamptz,
  attempts  int              not null default 0,
  key       text collate "C" primary key check (key <> '' and char_length(key) <= 255),
  category  text collate "C" not null,
  stream_id text collate "C" not null,
  error     text,
  write     json             not null
);
-- For those who fire them, in the order of their due times.
create index timers_next on timers (next_at, key) where next_at is not null;
-- For a list in the order of due times.
create index timers_due on timers (due, key);
-- For an erasure, which deletes what would be appended to the stream.
create index timers_stream on timers (category, stream_id);
