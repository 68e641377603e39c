-- Durable subscriptions: a name, what it selects, and a checkpoint a partition. All clocks are the database's.

create table subscriptions (
  name       text collate "C" primary key check (name <> '' and char_length(name) <= 255),
  categories text[],     -- sorted; null: every category
  types      text[],     -- sorted; null: every type
  stream_id  text,       -- null: every stream
  partitions int              not null default 1 check (partitions between 1 and 1024),
  revision   uuid             not null default gen_random_uuid(), -- another with each change: who knows an old one is refused
  created_at timestamptz      not null default clock_timestamp()
);

-- position     all events of the partition up to it that the subscription selects are acked or parked; it moves
--              backward only by an administrator's reset
-- epoch        raised whenever the partition changes hands: the fence. Whoever comes with an older one does nothing
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

-- Who takes part: partitions are shared among the executors that are alive.
create table executors (
  subscription text collate "C" not null references subscriptions (name) on delete cascade,
  owner        text collate "C" not null,
  joined_at    timestamptz      not null default clock_timestamp(),
  alive_until  timestamptz      not null,
  primary key (subscription, owner)
);

-- A stream that is set aside: one row, however many of its events wait behind the one that failed.
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

-- The hash that spreads streams over partitions: 31 bits, the same for ever.
create function stream_hash(_category text, _stream_id text) returns bigint
language sql immutable
return hashtextextended(_stream_id, hashtextextended(_category, 0)) & 2147483647;

-- Channel on which executors are called to look: a partition is free, somebody joined, a stream is to be replayed.
create function bell(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '!' || _subscription);
end
$$;

-- Create a subscription that begins after _position, or find it as it is; returns its revision. Another selector is an
-- error.
create function subscribe(
  _name text, _categories text[], _types text[], _stream_id text, _partitions int, _position bigint
) returns uuid
language plpgsql
set search_path from current
as $$
declare
  _there    subscriptions;
  _revision uuid;
begin
  insert into subscriptions (name, categories, types, stream_id, partitions)
  values (_name, _categories, _types, _stream_id, _partitions)
  on conflict do nothing
  returning revision into _revision;
  if found then
    insert into checkpoints (subscription, partition, position, epoch)
    select _name, n, _position, (select last_value from retired_epoch) from generate_series(0, _partitions - 1) as n;
    return _revision;
  end if;
  select * into strict _there from subscriptions where name = _name;
  if (_there.categories, _there.types, _there.stream_id, _there.partitions)
     is distinct from (_categories, _types, _stream_id, _partitions) then
    raise exception 'subscription "%" exists with categories %, types %, stream %, % partitions, not categories %, types %, stream %, % partitions',
      _name,
      coalesce(_there.categories::text, 'all'), coalesce(_there.types::text, 'all'), coalesce(_there.stream_id, 'all'), _there.partitions,
      coalesce(_categories::text, 'all'), coalesce(_types::text, 'all'), coalesce(_stream_id, 'all'), _partitions
      using errcode = 'MW010', hint = 'alterSubscription changes it while nobody owns it.';
  end if;
  return _there.revision;
end
$$;
