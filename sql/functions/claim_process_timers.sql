-- Locks instances of a process manager whose timers are due, without waiting for those that are locked, and returns the timers that
-- are due, with the state of each one's instance. With _name: only that timer, due or not, and its instance is waited for.
--
-- The instances are locked first, because a handler of an event locks them first, too. The timers are read again afterwards,
-- because the event may have cancelled them. A process manager that is paused has no timers.
create or replace function claim_process_timers(_process text, _limit int, _id text, _name text)
returns table (id text, name text, due bigint, attempts int, cause json, state json, version int, now_ms bigint)
language plpgsql
set search_path from current
as $$
declare
  _ids text[];
begin
  if _name is not null then
    perform from process_instances p where p.process = _process and p.id = _id for update;
    _ids := array[_id];
  else
    _ids := array(
      select p.id from process_instances p
      where p.process = _process and p.id in (
        select t.id from process_timers t
        where t.process = _process and t.next_at <= clock_timestamp() order by t.next_at limit _limit
      )
      and not exists (select from subscriptions s where s.name = _process and s.paused_at is not null)
      order by p.id for update skip locked
    );
  end if;
  return query
    select t.id, t.name, floor(date_part('epoch', t.due) * 1000)::bigint, t.attempts, t.cause, p.state, p.version,
           floor(date_part('epoch', clock_timestamp()) * 1000)::bigint
    from process_timers t join process_instances p using (process, id)
    where t.process = _process and t.id = any (_ids) and (_name is null or t.name = _name)
      and (_name is not null or t.next_at <= clock_timestamp())
    order by t.due, t.id, t.name limit _limit;
end
$$;
