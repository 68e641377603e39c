-- Process managers. One is a transactional subscription of the same name, and an instance for each thing that it watches over. Who
-- handles an input of an instance locks its row first; only he writes it and its timers.
--
-- version     of the state's shape
-- ended_at    since when it ignores events
-- keep_until  from then on it is deleted, and a new event of the same thing begins a new instance
create table process_instances (
  started_at timestamptz      not null default clock_timestamp(),
  updated_at timestamptz      not null default clock_timestamp(),
  ended_at   timestamptz,
  keep_until timestamptz,
  version    int              not null,
  process    text collate "C" not null references subscriptions (name) on delete cascade,
  id         text collate "C" not null check (id <> '' and char_length(id) <= 255),
  state      json             not null,
  primary key (process, id)
);
create index process_instances_ended on process_instances (process, keep_until) where keep_until is not null;

-- The timers of instances: due, next_at, attempts and error as in timers.
--
-- cause  {"id", "metadata"} of the input that made it: what it leads to belongs to the same correlation
create table process_timers (
  due      timestamptz      not null,
  next_at  timestamptz,
  attempts int              not null default 0,
  process  text collate "C" not null,
  id       text collate "C" not null,
  name     text collate "C" not null check (name <> '' and char_length(name) <= 255),
  error    text,
  cause    json             not null,
  primary key (process, id, name),
  foreign key (process, id) references process_instances (process, id) on delete cascade
);
create index process_timers_next on process_timers (process, next_at) where next_at is not null;
