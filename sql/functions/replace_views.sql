-- Puts the views of a projection on the tables of this version, as plan_views has planned it. From the first of these commands on
-- readers wait, so everything that could be found out before has been.
create or replace function replace_views(_next projections, _plan jsonb) returns void
language plpgsql
set search_path from current
as $$
declare
  _view text;
  _one  jsonb;
  _old  jsonb;
begin
  for _view in select jsonb_array_elements_text(_plan -> 'drop') loop
    execute 'drop view ' || _view;
  end loop;
  for _one in select jsonb_array_elements(_plan -> 'make') loop
    _view := _one ->> 'view';
    _old := nullif(_one -> 'old', 'null');
    execute format(
      'create or replace view %s %s as select %s from %s',
      _view, 'with (' || nullif(_old ->> 'options', '') || ')', _one ->> 'columns', _one ->> 'table'
    );
    if (_old ->> 'stays')::boolean is false then
      perform restore_view(_view::regclass, _old);
    end if;
    if _old ->> 'owner' <> current_user then
      -- A view reads its table by the rights of its owner.
      execute format('grant usage on schema %I to %I', _next.schema_name, _old ->> 'owner');
      execute format('grant select on %s to %I', _one ->> 'table', _old ->> 'owner');
    end if;
  end loop;
end
$$;
