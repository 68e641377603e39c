-- Empty a store that mark_test_store.sql has marked, in one transaction.
--
-- Positions go on: none is handed out twice, so processes that stay connected need not be told that theirs are void. One is
-- left out, so that a process that polls the sequence notices. The migrations stay as they are, and so does the lease of
-- notifying for all, which holds positions only.
--
-- Subscriptions first, as a transactional handler locks them: their checkpoints, then events. The lock on subscriptions makes
-- a second reset wait, the one on events waits for open appends.
do $reset$
declare
  _schema constant regnamespace := (select relnamespace from pg_class where oid = $place$meowmx.events$place$::regclass);
  _name   text;
begin
  if strpos(pg_catalog.obj_description(_schema, 'pg_namespace'), 'meowmx: a store for tests, ') > 0 is not true then
    raise exception 'schema % is not marked as a store for tests', _schema using errcode = 'MW014';
  end if;
  lock table meowmx.subscriptions in share row exclusive mode;
  for _name in
    select p.schema_name from meowmx.projections p
    where pg_catalog.to_regnamespace(pg_catalog.quote_ident(p.schema_name)) is not null
  loop
    execute pg_catalog.format('drop schema %I cascade', _name); -- and the views on its tables
  end loop;
  delete from meowmx.projections;
  for _name in select name from meowmx.subscriptions order by name loop
    perform meowmx.delete_subscription(_name);
  end loop;
  delete from meowmx.waiters;
  lock table meowmx.events in share row exclusive mode;
  perform pg_catalog.set_config('meowmx' || '.maintenance', 'on', true); -- in one piece it would name the schema
  delete from meowmx.events;
  delete from meowmx.event_tags;
  delete from meowmx.tombstones;
  delete from meowmx.snapshots;
  delete from meowmx.timers;
  delete from meowmx.discarded_events;
  perform nextval($place$meowmx.events_position_seq$place$);
end
$reset$
