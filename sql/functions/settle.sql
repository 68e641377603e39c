-- A statement gave a category positions from _low to _high: checks them, and notifies the category. Internal, as announce().
create or replace function settle(_category text, _low bigint, _high bigint, _announced text, _coalescing boolean) returns void
language plpgsql
as $$
declare
  _bound   bigint := announced_position(_announced, category_key(_category));
  _channel text;
  _void    text;
begin
  if _bound is null then
    _bound := announced_position(_announced, -1);
  end if;
  -- Positions that the sequence did not just assign: OVERRIDING SYSTEM VALUE, COPY with positions, CACHE > 1. Or the
  -- sequence has moved so far that readers can't rebuild the announced position any more (horizons.sql).
  if (_low > _bound and _high - _bound < 4294967296 and _high <= least(last_position(), 9007199254740991)) is not true then
    if _bound is null and strict() then
      raise exception 'category "%" was not announced by this transaction', _category
        using errcode = 'MW002', hint = 'Append by one statement at a time, without inserting into events inside it.';
    elsif strict() then
      raise exception 'positions % to % of category "%" are not above % and at most %',
        _low, _high, _category, _bound, least(last_position(), _bound + 4294967295, 9007199254740991)
        using errcode = 'MW002', hint = 'Let the sequence number the events; a restore sets meowmx.maintenance = ''on''.';
    elsif _low < 1 or _high > 9007199254740991 then
      raise exception 'positions % to % of category "%" are not between 1 and 9007199254740991', _low, _high, _category
        using errcode = 'MW002', hint = 'No reader could tell such a position exactly: give the events other ones.';
    end if;
  end if;
  if not _coalescing then
    _channel := current_schema() || '.' || _category; -- the same as channel_of() if the name is short, but cheaper
    if octet_length(_channel) > 63 then
      _channel := channel_of(current_schema(), _category);
    end if;
    _void := pg_notify(_channel, _high::text);
  end if;
end
$$;
