-- Drops the schemas of a version of a projection that is dropped; refused if others depend on its tables by now. A version that was
-- never live leaves nothing, so that it can be built anew; one that was live keeps its row, so that a process of an old release
-- can't bring it back.
-- _generation  null: all of them
create or replace function drop_tables_of(_name text, _version int, _generation int default null) returns void
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
  for _one in
    select * from projections p
    where p.name = _name and p.version = _version and (p.generation = _generation or _generation is null)
      and p.dropped_at is not null
  loop
    -- One that was never set up has no schema: what has that name is a stranger's.
    if _one.is_set_up and to_regnamespace(quote_ident(_one.schema_name)) is not null then
      _found := dependents_of(array(
        select c.oid from pg_class c where c.relnamespace = to_regnamespace(quote_ident(_one.schema_name))
      ), _one.schema_name);
      if cardinality(_found) > 0 then
        raise exception 'the tables of version % of projection "%" can not be dropped: others depend on it: %',
          _version, _name, array_to_string(_found, ', ')
          using errcode = 'MW016', hint = 'Drop these first, and then drop the version again.';
      end if;
      execute format('drop schema %I cascade', _one.schema_name);
    end if;
    delete from projections p
    where (p.name, p.version, p.generation) = (_one.name, _one.version, _one.generation)
      and (p.activated_at is null or exists (
        select from projections q
        where q.name = p.name and q.version = p.version and q.generation > p.generation and q.activated_at is not null
      ));
  end loop;
end
$$;
