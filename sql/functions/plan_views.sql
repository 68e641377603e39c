-- What a switch to this version has to do with the views of its projection, found out before anything is locked: `drop` are the views
-- that go or are made again, `make` the views that there will be, each with what a view that is made again had. A view stays the
-- same object if the columns that it has stay as they are: then others may depend on it. If not, what depends on it is named and refused.
create or replace function plan_views(_next projections) returns jsonb
language plpgsql stable
set search_path from current
as $$
declare
  _target  constant text := quote_ident(_next.expose);
  _there   jsonb; -- what is to be known of the views that there are
  _dropped oid[];
  _found   text[];
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

  return jsonb_build_object(
    'drop', (
      select coalesce(jsonb_agg(v ->> 'view' order by v ->> 'view'), '[]')
      from jsonb_array_elements(_there) as v where (v ->> 'stays')::boolean is not true
    ),
    'make', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'view', format('%I.%I', _next.expose, t.name), 'table', format('%I.%I', _next.schema_name, t.name),
        'columns', t.columns, 'old', v.old
      ) order by t.name), '[]')
      from projected_tables(_next.schema_name) t
      left join jsonb_array_elements(_there) as v (old) on v.old ->> 'name' = t.name and v.old ->> 'expose' = _next.expose
    )
  );
end
$$;
