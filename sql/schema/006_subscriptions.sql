-- Durable subscriptions: a name, what it selects, and a checkpoint a partition. All clocks are the database's.

create table subscriptions (
  name       text collate "C" primary key check (name <> '' and char_length(name) <= 255),
  categories text[],     -- sorted; null: every category
  types      text[],     -- sorted; null: every type
  stream_id  text,       -- null: every stream
  partitions int              not null default 1 check (partitions between 1 and 1024),
  revision   uuid             not null default gen_random_uuid(), -- another with each change: an executor that knows an old one is refused
  created_at timestamptz      not null default clock_timestamp()
);

-- position     all events of the partition up to it that the subscription selects are acked or parked; it moves
--              backward only by an administrator's reset
-- epoch        raised whenever the partition changes hands: the fence. A caller with an older one changes nothing
-- owner        the executor that holds the lease; null: free
-- Room is left in each page, so that an ack's update stays in it and touches no index.
create table checkpoints (
  subscription text collate "C" not null references subscriptions (name) on delete cascade,
  partition    int              not null,
  position     bigint           not null check (position between 0 and 9007199254740991), -- exact in JavaScript
  epoch        bigint           not null default 0,
  owner        text collate "C",
  lease_until  timestamptz,
  primary key (subscription, partition)
) with (fillfactor = 50);

-- The executors that take part: partitions are shared among the executors that are alive.
create table executors (
  subscription text collate "C" not null references subscriptions (name) on delete cascade,
  owner        text collate "C" not null,
  joined_at    timestamptz      not null default clock_timestamp(),
  alive_until  timestamptz      not null,
  primary key (subscription, owner)
);

-- A parked stream: one row, however many of its events wait behind the one that failed.
-- position     the stream's events from here on are not delivered, until it is replayed
-- attempts     of the event at position
-- replaying    true: its events go to the subscription's executors again, one after the other, and position with them
create table parked_events (
  subscription text collate "C" not null references subscriptions (name) on delete cascade,
  category     text collate "C" not null,
  stream_id    text collate "C" not null,
  position     bigint           not null,
  attempts     int              not null,
  error        text             not null,
  parked_at    timestamptz      not null default clock_timestamp(),
  replaying    boolean          not null default false,
  primary key (subscription, category, stream_id)
);

-- The highest epoch of all subscriptions that were deleted: one of the same name begins above it.
create sequence retired_epoch minvalue 0 start 0;
