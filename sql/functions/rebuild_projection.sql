-- Requests a rebuild of the live version of a projection: a new generation, which the processes that run this version build
-- beside it. If one is under way already, it is that one. Returns its version and its generation.
create or replace function rebuild_projection(_name text, out version int, out generation int)
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
declare
  _live  projections;
  _newer projections;
begin
  perform lock_projection(_name);
  select * into _live from projections p where p.name = _name and p.is_live;
  if not found then
    raise exception 'no version of projection "%" is live', _name
      using errcode = 'MW015', hint = 'Only what is live can be rebuilt: projections() lists what there is.';
  end if;
  select * into _newer from projections p
  where p.name = _name and p.version = _live.version and p.generation > _live.generation and p.dropped_at is null;
  if not found then
    _newer := _live;
    _newer.generation := (
      select max(p.generation) + 1 from projections p where p.name = _name and p.version = _live.version
    );
    insert into projections (name, version, generation, schema_name, expose, subscription, setup_hash, selector_hash)
    values (
      _name, _live.version, _newer.generation,
      regexp_replace(_live.schema_name, '_r[0-9]+$', '') || '_r' || _newer.generation,
      _live.expose,
      regexp_replace(_live.subscription, ':r[0-9]+$', '') || ':r' || _newer.generation,
      _live.setup_hash, _live.selector_hash
    );
    perform pg_notify(projection_channel(_name), '');
  end if;
  version := _newer.version;
  generation := _newer.generation;
end
$$;
