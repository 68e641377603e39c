-- Marks a store as one for tests, at the end of the comment on its schema. It must be empty, so that no
-- store with events of value is ever marked. ($place$ quotes the name of the table, whatever characters that of the schema has.)
do $mark$
declare
  _mark    constant text := 'meowmx: a store for tests, which resetStore() may empty';
  _schema  constant regnamespace := (select relnamespace from pg_class where oid = $place$meowmx.events$place$::regclass);
  _comment constant text := pg_catalog.obj_description(_schema, 'pg_namespace');
begin
  if strpos(_comment, _mark) > 0 then
    return;
  end if;
  lock table meowmx.subscriptions, meowmx.events in share row exclusive mode; -- no other session can add anything meanwhile
  if exists (select from meowmx.events) or exists (select from meowmx.subscriptions) then
    raise exception 'schema % has events or subscriptions', _schema using errcode = 'MW014';
  end if;
  execute format('comment on schema %s is %L', _schema, concat_ws(E'\n', _comment, _mark));
end
$mark$
