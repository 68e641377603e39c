-- Gives a view that was created again its old owner, privileges and comments, also those of columns that still exist.
create or replace function restore_view(_view regclass, _old jsonb) returns void
language plpgsql
set search_path from current
as $$
declare
  _one   record;
  _given jsonb;
begin
  -- Privileges that default privileges granted meanwhile are revoked.
  for _one in
    select distinct a.grantee from pg_class c cross join lateral aclexplode(c.relacl) a
    where c.oid = _view and (a.grantee <> c.relowner or jsonb_typeof(_old -> 'grants') = 'array')
  loop
    execute format('revoke all on %s from %s', _view, case when _one.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(_one.grantee)) end);
  end loop;
  for _one in
    select g.given, null::text as column_name
    from jsonb_array_elements(case when jsonb_typeof(_old -> 'grants') = 'array' then _old -> 'grants' else '[]' end) as g (given)
    union all
    select g.given, c.one ->> 'name'
    from jsonb_array_elements(coalesce(nullif(_old -> 'columns', 'null'), '[]')) as c (one)
    join pg_attribute a on a.attrelid = _view and a.attname = c.one ->> 'name' and a.attnum > 0 and not a.attisdropped
    cross join jsonb_array_elements(case when jsonb_typeof(c.one -> 'grants') = 'array' then c.one -> 'grants' else '[]' end) as g (given)
  loop
    _given := _one.given;
    continue when _given ->> 0 <> '0' and not exists (select from pg_roles r where r.oid = (_given ->> 0)::oid);
    execute format(
      'grant %s %s on %s to %s %s', _given ->> 1, '(' || quote_ident(_one.column_name) || ')', _view,
      case when _given ->> 0 = '0' then 'public' else quote_ident(pg_get_userbyid((_given ->> 0)::oid)) end,
      case when (_given ->> 2)::boolean then 'with grant option' end
    );
  end loop;
  if _old ->> 'comment' is not null then
    execute format('comment on view %s is %L', _view, _old ->> 'comment');
  end if;
  for _one in
    select c.one ->> 'name' as name, c.one ->> 'comment' as comment
    from jsonb_array_elements(coalesce(nullif(_old -> 'columns', 'null'), '[]')) as c (one)
    join pg_attribute a on a.attrelid = _view and a.attname = c.one ->> 'name' and a.attnum > 0 and not a.attisdropped
    where c.one ->> 'comment' is not null
  loop
    execute format('comment on column %s.%I is %L', _view, _one.name, _one.comment);
  end loop;
  if _old ->> 'owner' <> current_user then
    execute format('alter view %s owner to %I', _view, _old ->> 'owner');
  end if;
end
$$;
