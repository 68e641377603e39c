-- Changes what is in _changes: {"categories": [...] or null, "types": [...] or null, "partitions": n}. It is refused while an
-- executor owns the subscription. If the number of partitions changes, all begin at the lowest checkpoint of the old ones.
create or replace function alter_subscription(_name text, _changes jsonb) returns void
language plpgsql
set search_path from current
as $$
declare
  _new      subscriptions;
  _position bigint;
  _epoch    bigint;
begin
  perform refuse_owned(_name); -- fails at once, instead of waiting for an owner's transaction
  _new := seize(_name);
  perform refuse_owned(_name);

  if _changes ? 'categories' then
    _new.categories := (
      select array_agg(c order by n)
      from jsonb_array_elements_text(nullif(_changes -> 'categories', 'null')) with ordinality as l (c, n)
    );
    if _new.stream_id is not null and cardinality(_new.categories) is distinct from 1 then
      raise exception 'subscription "%" is of stream "%", which needs exactly one category', _name, _new.stream_id
        using errcode = 'MW012';
    end if;
  end if;
  if _changes ? 'types' then
    _new.types := (
      select array_agg(t order by n)
      from jsonb_array_elements_text(nullif(_changes -> 'types', 'null')) with ordinality as l (t, n)
    );
  end if;
  _new.partitions := coalesce((_changes ->> 'partitions')::int, _new.partitions);
  update subscriptions s set categories = _new.categories, types = _new.types, partitions = _new.partitions, revision = gen_random_uuid()
  where s.name = _name;

  -- An owner may not have noticed that its lease has expired. It must never be valid again, so the new epochs are above all old
  -- ones.
  select min(c.position), max(c.epoch) into _position, _epoch from checkpoints c where c.subscription = _name;
  if _new.partitions = (select count(*) from checkpoints c where c.subscription = _name) then
    update checkpoints c set epoch = _epoch + 1, owner = null, lease_until = null where c.subscription = _name;
  else
    delete from checkpoints c where c.subscription = _name;
    insert into checkpoints (subscription, partition, position, epoch)
    select _name, n, _position, _epoch + 1 from generate_series(0, _new.partitions - 1) as n;
  end if;
  delete from executors x where x.subscription = _name;
  perform pg_notify(wake_channel(_name), '');
end
$$;
