-- Ends a version of a projection: its subscription is deleted, so its processes find out. The schema with its tables is dropped by
-- drop_projected, when nobody writes any more. Refused for what is live, and if others depend on the tables.
-- _generation  null: all of them
create or replace function drop_projection(_name text, _version int, _generation int default null) returns void
language plpgsql
set search_path from current
as $$
declare
  _one   projections;
  _found text[];
begin
  perform set_config('lock_timeout', '50ms', true);
  perform lock_projection(_name);
  perform pg_notify(projection_channel(_name), '');
  if not exists (
    select from projections p where p.name = _name and p.version = _version and (p.generation = _generation or _generation is null)
      and (p.dropped_at is null or to_regnamespace(quote_ident(p.schema_name)) is not null)
  ) then
    raise exception 'there is no version % of projection "%"', _version, _name
      using errcode = 'MW015', hint = 'projections() lists what there is.';
  end if;
  for _one in
    select * from projections p where p.name = _name and p.version = _version and (p.generation = _generation or _generation is null)
  loop
    if _one.is_live then
      raise exception 'version % of projection "%" is live', _version, _name
        using errcode = 'MW016', hint = 'Switch to another version first: activateProjection.';
    end if;
    _found := dependents_of(array(
      select c.oid from pg_class c where _one.is_set_up and c.relnamespace = to_regnamespace(quote_ident(_one.schema_name))
    ), _one.schema_name);
    if cardinality(_found) > 0 then
      raise exception 'version % of projection "%" can not be dropped: others depend on it: %', _version, _name, array_to_string(_found, ', ')
        using errcode = 'MW016', hint = 'Drop these first.';
    end if;
    update projections p set dropped_at = coalesce(p.dropped_at, clock_timestamp())
    where (p.name, p.version, p.generation) = (_one.name, _one.version, _one.generation);
    if exists (select from subscriptions s where s.name = _one.subscription) then
      perform delete_subscription(_one.subscription);
    end if;
  end loop;
end
$$;
