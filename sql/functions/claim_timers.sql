-- Locks the next timers that are due, for a transaction that appends their events and then settles them (settle_timers). It
-- skips timers that others have locked, so several processes share the work, and each timer is fired once. With _key: only that
-- one, due or not; it is waited for.
--
-- The times are in microseconds since 1970: ids of events are derived from them.
create or replace function claim_timers(_limit int, _key text)
returns table (key text, due bigint, attempts int, category text, stream_id text, write json)
language plpgsql
set search_path from current
as $$
begin
  if _key is null then
    return query
      select t.key, (date_part('epoch', t.due) * 1000000)::bigint, t.attempts, t.category, t.stream_id, t.write
      from timers t where t.next_at <= clock_timestamp()
      order by t.next_at, t.key limit _limit for update skip locked;
  else
    return query
      select t.key, (date_part('epoch', t.due) * 1000000)::bigint, t.attempts, t.category, t.stream_id, t.write
      from timers t where t.key = _key for update;
  end if;
end
$$;
