-- Puts the views of a projection on the tables of this version. A view stays the same object if the columns that it has stay as
-- they are: then others may depend on it. If not, it is made again, with its owner, its privileges, its comments and its options; then
-- what depends on it is named and refused. Views without a table in this version are dropped.
create or replace function expose_projection(_next projections) returns void
language plpgsql
set search_path from current
as $$
declare
  _target   constant text := quote_ident(_next.expose);
  _there    jsonb; -- what is to be known of the views that there are
  _dropped  oid[];
  _found    text[];
  _table    record;
  _old      jsonb;
  _view     text;
  _one      record;
begin
  if to_regnamespace(_target) is null then
    raise exception 'there is no schema "%" for the views of projection "%"', _next.expose, _next.name
      using errcode = 'MW016', hint = 'Create it, or name another one in `expose`.';
  end if;
  select array_agg(format('%I.%I', _next.expose, c.relname) order by c.relname) into _found
  from pg_class c join projected_tables(_next.schema_name) t on t.name = c.relname
  where c.relnamespace = to_regnamespace(_target)
    and c.oid not in (select v.view from projection_views(_next.name) v);
  if cardinality(_found) > 0 then
    raise exception 'version % of projection "%" can not be switched to: % is there, and is no view of this projection',
      _next.version, _next.name, array_to_string(_found, ', ')
      using errcode = 'MW016', hint = 'Drop or rename it, or name another schema in `expose`.';
  end if;

  select coalesce(jsonb_agg(jsonb_build_object(
    'oid', v.view::text, 'view', format('%I.%I', v.expose, v.name), 'name', v.name, 'expose', v.expose,
    'owner', pg_get_userbyid(c.relowner),
    'options', array_to_string(c.reloptions, ', '),
    'comment', obj_description(c.oid, 'pg_class'),
    'grants', case when c.relacl is null then null else (
      select coalesce(jsonb_agg(jsonb_build_array(a.grantee::text, a.privilege_type, a.is_grantable)), '[]') from aclexplode(c.relacl) a
    ) end,
    'columns', (
      select jsonb_agg(jsonb_build_object(
        'name', a.attname, 'comment', col_description(c.oid, a.attnum),
        'grants', (
          select jsonb_agg(jsonb_build_array(x.grantee::text, x.privilege_type, x.is_grantable)) from aclexplode(a.attacl) x
        )
      )) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    -- Columns that stay come first, in their order.
    'stays', v.expose = _next.expose and t.types[1:cardinality(own.types)] = own.types
  )), '[]')
  into _there
  from projection_views(_next.name) v
  join pg_class c on c.oid = v.view
  cross join lateral (
    select coalesce(array_agg(
      format('%I %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation) order by a.attnum
    ), '{}') as types
    from pg_attribute a where a.attrelid = v.view and a.attnum > 0 and not a.attisdropped
  ) as own
  left join projected_tables(_next.schema_name) t on t.name = v.name;

  select array_agg((v ->> 'oid')::oid) into _dropped
  from jsonb_array_elements(_there) as v where (v ->> 'stays')::boolean is not true;
  _found := null;
  if _dropped is not null then
    _found := dependents_of(_dropped, null);
  end if;
  if cardinality(_found) > 0 then
    raise exception 'version % of projection "%" can not be switched to: it has other columns or tables, and that would break %',
      _next.version, _next.name, array_to_string(_found, ', ')
      using errcode = 'MW016', hint = 'Drop these, switch, and create them again; or keep the columns and add new ones behind them.';
  end if;

  for _one in
    select v ->> 'view' as view from jsonb_array_elements(_there) as v
    where (v ->> 'stays')::boolean is not true order by v ->> 'view'
  loop
    execute 'drop view ' || _one.view;
  end loop;
  for _table in select * from projected_tables(_next.schema_name) t order by t.name loop
    _view := format('%I.%I', _next.expose, _table.name);
    _old := (select v from jsonb_array_elements(_there) as v where v ->> 'name' = _table.name and v ->> 'expose' = _next.expose);
    execute format(
      'create or replace view %s %s as select %s from %I.%I',
      _view, 'with (' || nullif(_old ->> 'options', '') || ')', _table.columns, _next.schema_name, _table.name
    );
    if (_old ->> 'stays')::boolean is false then
      perform restore_view(_view::regclass, _old);
    end if;
    if _old ->> 'owner' <> current_user then
      -- A view reads its table by the rights of its owner.
      execute format('grant usage on schema %I to %I', _next.schema_name, _old ->> 'owner');
      execute format('grant select on %I.%I to %I', _next.schema_name, _table.name, _old ->> 'owner');
    end if;
  end loop;
end
$$;
