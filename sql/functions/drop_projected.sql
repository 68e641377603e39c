-- Drops the schemas of a projection's versions that are dropped. A version that was never live leaves nothing, so that it can be
-- built anew; one that was live keeps its row, so that a process of an old release can't bring it back.
create or replace function drop_projected(_name text) returns void
language plpgsql
set search_path from current
as $$
declare
  _one projections;
begin
  perform set_config('lock_timeout', '50ms', true);
  perform lock_projection(_name);
  perform pg_notify(projection_channel(_name), '');
  for _one in select * from projections p where p.name = _name and p.dropped_at is not null loop
    if to_regnamespace(quote_ident(_one.schema_name)) is not null then
      execute format('drop schema %I cascade', _one.schema_name);
    end if;
    delete from projections p
    where (p.name, p.version, p.generation) = (_one.name, _one.version, _one.generation)
      and (p.activated_at is null or exists (
        select from projections q where q.name = p.name and q.version = p.version and q.generation > p.generation
      ));
  end loop;
end
$$;
