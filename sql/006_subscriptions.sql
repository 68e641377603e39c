-- Durable subscriptions: a name, what it selects, and a checkpoint a partition. All clocks are the database's.

create table subscriptions (
  name       text        primary key check (name <> '' and char_length(name) <= 255),
  categories text[],     -- sorted; null: every category
  types      text[],     -- sorted; null: every type
  stream_id  text,       -- null: every stream
  created_at timestamptz not null default clock_timestamp()
);

-- position     all events up to it that the subscription selects are acked; it never moves backward
-- epoch        raised whenever the partition changes hands: the fence. Whoever comes with an older one does nothing
-- owner        the executor that holds the lease; null: free
-- Room is left in each page, so that an ack's update stays in it and touches no index.
create table checkpoints (
  subscription text        not null references subscriptions (name) on delete cascade,
  partition    int         not null,
  position     bigint      not null,
  epoch        bigint      not null default 0,
  owner        text,
  lease_until  timestamptz,
  primary key (subscription, partition)
) with (fillfactor = 50);

-- Channel on which a free partition rings, so that nobody has to wait for a lease to run out.
create function bell(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '!' || _subscription);
end
$$;

-- Create a subscription that begins after _position, or find it as it is. Another selector is an error.
create function subscribe(_name text, _categories text[], _types text[], _stream_id text, _position bigint) returns void
language plpgsql
set search_path from current
as $$
declare
  _there subscriptions;
begin
  insert into subscriptions (name, categories, types, stream_id) values (_name, _categories, _types, _stream_id)
  on conflict do nothing;
  if found then
    insert into checkpoints (subscription, partition, position) values (_name, 0, _position);
    return;
  end if;
  select * into strict _there from subscriptions where name = _name;
  if (_there.categories, _there.types, _there.stream_id) is distinct from (_categories, _types, _stream_id) then
    raise exception 'subscription "%" exists with categories %, types %, stream %, not categories %, types %, stream %', _name,
      coalesce(_there.categories::text, 'all'), coalesce(_there.types::text, 'all'), coalesce(_there.stream_id, 'all'),
      coalesce(_categories::text, 'all'), coalesce(_types::text, 'all'), coalesce(_stream_id, 'all')
      using errcode = 'MW010';
  end if;
end
$$;

-- Take a partition that is free, whose lease ran out, or that is the caller's already (the answer to its last claim was
-- lost): a new epoch, and the checkpoint reached so far. Where another owns it, the epoch is null and wait_ms says how
-- long its lease lasts.
create function claim(
  _subscription text, _partition int, _owner text, _lease_ms int,
  out epoch bigint, out reached bigint, out wait_ms int
)
language plpgsql
set search_path from current
as $$
begin
  update checkpoints c
  set epoch = c.epoch + 1, owner = _owner, lease_until = clock_timestamp() + _lease_ms * interval '1 ms'
  where c.subscription = _subscription and c.partition = _partition
    and (c.owner is null or c.owner = _owner or c.lease_until <= clock_timestamp())
  returning c.epoch, c.position into epoch, reached;
  if found then
    return;
  end if;
  select greatest(ceil(extract(epoch from c.lease_until - clock_timestamp()) * 1000), 0)
  into wait_ms from checkpoints c where c.subscription = _subscription and c.partition = _partition;
  if not found then
    raise exception 'there is no subscription "%"', _subscription using errcode = 'MW011';
  end if;
end
$$;

-- Move the checkpoint up and renew the lease. False: the epoch is over, another owns the partition, nothing was done.
create function advance(_subscription text, _partition int, _epoch bigint, _position bigint, _lease_ms int) returns boolean
language plpgsql
set search_path from current
as $$
begin
  update checkpoints
  set position = greatest(position, _position), lease_until = clock_timestamp() + _lease_ms * interval '1 ms'
  where subscription = _subscription and partition = _partition and epoch = _epoch and owner is not null;
  return found;
end
$$;

-- Give the partition back, with the last checkpoint, and ring. False as above.
create function release(_subscription text, _partition int, _epoch bigint, _position bigint) returns boolean
language plpgsql
set search_path from current
as $$
begin
  update checkpoints
  set position = greatest(position, _position), owner = null, lease_until = null
  where subscription = _subscription and partition = _partition and epoch = _epoch and owner is not null;
  if found then
    perform pg_notify(bell(_subscription), '');
    return true;
  end if;
  return false;
end
$$;
