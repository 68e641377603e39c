-- An append announces itself before it takes a position.
--
-- The announcement is a shared advisory lock that carries p, the sequence's last value at that moment: all positions
-- that this transaction takes afterwards are above p. PostgreSQL lets the lock go when the transaction ends, however
-- it ends, and not before its commit can be seen. Readers (003_horizon.sql) stay at or below every announced p.
--
-- Two-integer advisory locks: (store, p) once a transaction, and (category, p) once a category.

-- The functions with a `return` body are bound to their tables when they are made, need no search_path, and are inlined
-- wherever they are called.

-- First integer of a lock for the whole store: the oid of its events table.
create function store_key() returns int
language sql stable
return 'events'::regclass::oid::bigint::bit(32)::int;

-- First integer of a lock for one category; the oid as seed keeps two stores in one database apart. A collision of
-- two categories only makes one wait for the other. -1 stands for every category at once.
create function category_key(_category text) returns int
language sql stable
return (hashtextextended(_category, 'events'::regclass::oid::bigint) & 2147483647)::int;

-- The setting that holds a transaction's mark, one for each store.
create function mark_name() returns text
language sql stable
return 'meowmx.announced_' || 'events'::regclass::oid;

-- What this transaction has announced: '|<key>=<p>|<key>=<p>|', or nothing. Its mark is transaction-local, so a rollback to a
-- savepoint takes it back together with the locks; it names the table and the transaction, so that neither another store
-- nor a setting that a pool replays is mistaken for it. It begins with '!' while the append function inserts.
create function announced() returns text
language sql stable
return split_part(current_setting(mark_name(), true), '#' || pg_current_xact_id_if_assigned() || '#', 2);

-- One below the first position, as long as none was handed out; else the last one.
create function unused_position() returns bigint
language plpgsql
as $$
declare
  _last bigint;
begin
  while _last is null loop
    select last_value - 1 into _last from events_position_seq where not is_called;
    _last := coalesce(_last, pg_sequence_last_value('events_position_seq'));
  end loop;
  return _last;
end
$$;

-- The last position that was handed out; one below the first, where none was.
--
-- Whoever selects last_value reads a row that nextval may be at work on: that writes a value up to 32 ahead to it, to log
-- it, and then takes it back (seen once in two million reads). An append that announced such a p would be refused, and a
-- reader that took it for the head would pass over events. This function waits for nextval. It tells nothing where
-- nothing was handed out, or, from PostgreSQL 18 on, who asks may not know: then the select says so.
create function last_position() returns bigint
language sql volatile
return coalesce(pg_sequence_last_value('events_position_seq'), unused_position());

-- Announce one category, or every category (null); cheap when it is announced already. Above 16 categories it announces
-- every category instead: the lock table is shared by all and must not fill. `_flag` is '!' where the append function is
-- about to insert. Internal: it relies on the search_path of the functions that call it, for setting it anew on each append
-- costs more than the rest.
--
-- In what runs on each append, expressions are short, and what is seldom needed stands in a statement of its own: plpgsql
-- makes an expression ready anew in each transaction, all of it.
create function announce(_category text, _flag text default '') returns void
language plpgsql
as $$
declare
  _list text := announced();
  _key  int := coalesce(category_key(_category), -1);
  _head bigint;
  _low  int;  -- its low bits
  _void text; -- an assignment is evaluated in place, where PERFORM would run a query
begin
  if coalesce(_list, '') = '' then
    _list := '|';
  end if;
  if strpos(_list, '|' || _key || '=') = 0 and strpos(_list, '|-1=') = 0 then
    _head := last_position();
    _low := _head::bit(32)::int;
    if _list = '|' then
      _void := pg_advisory_xact_lock_shared(store_key(), _low);
    elsif length(_list) - length(replace(_list, '=', '')) >= 16 then
      _key := -1;
    end if;
    _void := pg_advisory_xact_lock_shared(_key, _low);
    _list := _list || _key || '=' || _head || '|';
  end if;
  _void := set_config(mark_name(), _flag || '#' || pg_current_xact_id() || '#' || _list, true);
end
$$;

-- The append function has inserted. What others have announced meanwhile, in triggers of theirs, stays announced.
create function done_inserting() returns text
language sql volatile
return set_config(mark_name(), ltrim(current_setting(mark_name()), '!'), true);

-- Whoever inserts without the append function announces every category: a trigger can't see the rows before the first of
-- them takes its position. Who sets the flag alone is refused after the statement, by 004_notify.sql; who forges a whole mark
-- harms the delivery of his own events.
create function announce_every() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if to_regclass('events') is null then
    raise exception 'schema "%" was renamed, and its triggers still work in the one of its old name', tg_table_schema
      using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
  end if;
  if not coalesce(starts_with(current_setting(mark_name(), true), '!'), false) then
    if tg_relid <> 'events'::regclass then
      raise exception 'schema "%" was renamed or copied, and its triggers still work in schema "%"', tg_table_schema, current_schema()
        using errcode = 'MW013', hint = 'Run once, as its owner: meowmx migrate --schema ...';
    end if;
    perform announce(null);
  end if;
  return null;
end
$$;

create trigger announce
  before insert on events
  for each statement execute function announce_every();

alter table events enable always trigger announce;
