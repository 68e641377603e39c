-- An append announces itself before it takes a position.
--
-- The announcement is a shared advisory lock that carries p, the sequence's last value at that moment: all positions
-- that this transaction takes afterwards are above p. PostgreSQL lets the lock go when the transaction ends, however
-- it ends, and not before its commit can be seen. Readers (003_horizon.sql) stay at or below every announced p.
--
-- Two-integer advisory locks: (store, p) once a transaction, and (category, p) once a category.

-- First integer of a lock for the whole store: the oid of its events table.
create function store_key() returns int
language plpgsql stable
set search_path from current
as $$
begin
  return 'events'::regclass::oid::bigint::bit(32)::int;
end
$$;

-- First integer of a lock for one category; the oid as seed keeps two stores in one database apart. A collision of
-- two categories only makes one wait for the other. -1 stands for every category at once.
create function category_key(_category text) returns int
language plpgsql stable
set search_path from current
as $$
begin
  return (hashtextextended(_category, 'events'::regclass::oid::bigint) & 2147483647)::int;
end
$$;

-- What this transaction has announced: {"xid": …, "<key>": p, …}, or {}. The mark is transaction-local, so a rollback
-- to a savepoint takes it back together with the locks; it names the table and the transaction, so that neither
-- another store nor a setting that a pool replays is mistaken for it.
create function announced() returns jsonb
language plpgsql stable
set search_path from current
as $$
declare
  _mark constant jsonb := nullif(current_setting('meowmx.announced_' || 'events'::regclass::oid, true), '');
begin
  if _mark ->> 'xid' = pg_current_xact_id_if_assigned()::text then
    return _mark;
  end if;
  return '{}';
end
$$;

-- Announce one category, or every category (null). Cheap when it is announced already. After 16 categories it
-- announces every category instead: the lock table is shared by all and must not fill.
create function announce(_category text) returns void
language plpgsql
set search_path from current
as $$
declare
  _xid  constant text := pg_current_xact_id()::text;
  _mark jsonb := announced();
  _key  int := coalesce(category_key(_category), -1);
  _head bigint;
begin
  if _mark ? '-1' or _mark ? _key::text then
    return;
  end if;
  if _key <> -1 and (select count(*) from jsonb_object_keys(_mark)) > 16 then
    _key := -1;
  end if;
  select last_value - (not is_called)::int into strict _head from events_position_seq;
  if _mark = '{}' then
    _mark := jsonb_build_object('xid', _xid);
    perform pg_advisory_xact_lock_shared(store_key(), _head::bit(32)::int);
  end if;
  perform pg_advisory_xact_lock_shared(_key, _head::bit(32)::int);
  perform set_config('meowmx.announced_' || 'events'::regclass::oid,
                     (_mark || jsonb_build_object(_key::text, _head))::text, true);
end
$$;

-- Whoever inserts without the append function announces every category: a trigger can't see the rows before the
-- first of them takes its position. The append function, which has announced its own, says so once a statement.
create function announce_statement() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if current_setting('meowmx.appending', true) = tg_relid::text then
    perform set_config('meowmx.appending', '', true);
  elsif current_setting('meowmx.maintenance', true) is distinct from 'on' then
    perform announce(null);
  end if;
  return null;
end
$$;

create trigger announce
  before insert on events
  for each statement execute function announce_statement();

alter table events enable always trigger announce;
