-- Finds a version of a projection, or registers it; returns its generations. It refuses a version that was dropped
-- after it had been live, and a definition that is not the one its tables were made by.
create or replace function register_projection(
  _name text, _version int, _schema_name text, _expose text, _subscription text,
  _setup_hash text, _selector_hash text, _compares boolean
) returns setof projections
language plpgsql
set search_path from current
as $$
declare
  _there projections;
begin
  perform lock_projection(_name);
  select * into _there from projections p
  where p.name = _name and p.version = _version order by p.dropped_at is not null, p.generation desc limit 1;
  if not found then
    insert into projections (name, version, schema_name, expose, subscription, setup_hash, selector_hash)
    values (_name, _version, _schema_name, _expose, _subscription, _setup_hash, _selector_hash);
    perform pg_notify(projection_channel(_name), '');
  elsif _there.dropped_at is not null then
    raise exception 'version % of projection "%" was dropped', _version, _name
      using errcode = 'MW017', hint = 'Stop starting it; or, if it is needed again, give it a new version number.';
  elsif _there.selector_hash <> _selector_hash then
    raise exception 'version % of projection "%" was built from other events: its category, types, streamId or tags have changed', _version, _name
      using errcode = 'MW017', hint = 'Give the changed definition a new version number.';
  elsif _compares and _there.setup_hash <> _setup_hash then
    raise exception 'version % of projection "%" was made by another setup', _version, _name
      using errcode = 'MW017', hint = 'Give the changed definition a new version number.';
  elsif _there.expose <> _expose then
    raise exception 'version % of projection "%" has its views in schema "%", not in "%"', _version, _name, _there.expose, _expose
      using errcode = 'MW017', hint = 'Give the changed definition a new version number.';
  end if;
  return query select * from projections p
    where p.name = _name and p.version = _version and p.dropped_at is null order by p.generation;
end
$$;
