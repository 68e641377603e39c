-- Create a subscription that begins after _position, or find it as it is; returns its revision. Another selector is an
-- error.
create or replace function subscribe(
  _name text, _categories text[], _types text[], _stream_id text, _partitions int, _position bigint, _tags text[] default null
) returns uuid
language plpgsql
set search_path from current
as $$
declare
  _there    subscriptions;
  _revision uuid;
begin
  insert into subscriptions (name, categories, types, stream_id, partitions, tags)
  values (_name, _categories, _types, _stream_id, _partitions, _tags)
  on conflict do nothing
  returning revision into _revision;
  if found then
    insert into checkpoints (subscription, partition, position, epoch)
    select _name, n, _position, (select last_value from retired_epoch) from generate_series(0, _partitions - 1) as n;
    return _revision;
  end if;
  select * into strict _there from subscriptions where name = _name;
  if (_there.categories, _there.types, _there.stream_id, _there.partitions, _there.tags)
     is distinct from (_categories, _types, _stream_id, _partitions, _tags) then
    raise exception 'subscription "%" exists with categories %, types %, stream %, tags %, % partitions, not categories %, types %, stream %, tags %, % partitions',
      _name,
      coalesce(_there.categories::text, 'all'), coalesce(_there.types::text, 'all'), coalesce(_there.stream_id, 'all'), coalesce(_there.tags::text, 'any'), _there.partitions,
      coalesce(_categories::text, 'all'), coalesce(_types::text, 'all'), coalesce(_stream_id, 'all'), coalesce(_tags::text, 'any'), _partitions
      using errcode = 'MW010', hint = 'alterSubscription changes it while nobody owns it.';
  end if;
  return _there.revision;
end
$$;
