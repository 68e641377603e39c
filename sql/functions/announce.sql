-- An append announces itself before it takes a position.
--
-- The announcement is a shared advisory lock that carries p, the sequence's last value at that moment: all positions
-- that this transaction takes afterwards are above p. PostgreSQL releases the lock when the transaction ends, however it ends,
-- and not before its commit is visible. Readers (horizons.sql) stay at or below every announced p.
--
-- Two-integer advisory locks: (store, p) once a transaction, and (category, p) once a category.
--
-- Announces one category, or every category (null); cheap if it is already announced. Above 16 categories it announces
-- every category instead: the lock table is shared by all and must not fill. `_flag` is '!' if the append function is about
-- to insert. Internal: it relies on the search_path of its callers, because setting it again on each append costs more than the
-- rest.
--
-- Expressions are short here, and rare cases are statements of their own, because plpgsql prepares each expression as a whole
-- again in each transaction.
create or replace function announce(_category text, _flag text default '') returns void
language plpgsql
as $$
declare
  _list text := read_announcement();
  _key  int := coalesce(category_key(_category), -1);
  _head bigint;
  _low  int;  -- its low bits
  _void text; -- an assignment is evaluated in place, where PERFORM would run a query
begin
  if coalesce(_list, '') = '' then
    _list := '|';
  elsif announced_position(_list, _key) is not null or announced_position(_list, -1) is not null then
    _void := write_announcement(_flag, _list);
    return;
  end if;
  _head := last_position();
  _low := _head::bit(32)::int;
  if _list = '|' then
    _void := pg_advisory_xact_lock_shared(store_key(), _low);
  elsif length(_list) - length(replace(_list, '=', '')) >= 16 then
    _key := -1;
  end if;
  _void := pg_advisory_xact_lock_shared(_key, _low);
  _void := write_announcement(_flag, _list || _key || '=' || _head || '|');
end
$$;
