-- Writes the changes that inputs made to instances that the caller has locked.
--
--   _instances  [{"id", "state", "ended"}, ...]
--   _cancelled  [{"id", "name"}, ...]: timers that are gone: fired or cancelled
--   _scheduled  [{"id", "name", "due" (ms since 1970), "cause"}, ...]
--
-- Ended instances lose their timers, and are kept for _keep_ms. A state may be null, which json_to_recordset reads as SQL's NULL.
create or replace function save_instances(
  _process text, _version int, _keep_ms double precision, _instances json, _cancelled json, _scheduled json
) returns void
language plpgsql
set search_path from current
as $$
declare
  _next timestamptz;
begin
  update process_instances p
  set state = coalesce(i.state, 'null'), version = _version, updated_at = clock_timestamp(),
      ended_at = case when i.ended then clock_timestamp() end,
      keep_until = case when i.ended then clock_timestamp() + _keep_ms * interval '1 millisecond' end
  from json_to_recordset(_instances) as i (id text, state json, ended boolean)
  where p.process = _process and p.id = i.id;
  delete from process_timers t using json_to_recordset(_instances) as i (id text, ended boolean)
  where i.ended and t.process = _process and t.id = i.id;
  delete from process_timers t using json_to_recordset(_cancelled) as c (id text, name text)
  where t.process = _process and t.id = c.id and t.name = c.name;
  insert into process_timers as t (process, id, name, due, next_at, cause)
  select _process, s.id, s.name, d.due, d.due, s.cause
  from json_to_recordset(_scheduled) as s (id text, name text, due double precision, cause json)
  cross join lateral (select 'epoch'::timestamptz + s.due * interval '1 millisecond' as due) d
  on conflict (process, id, name) do update
    set due = excluded.due, next_at = excluded.due, attempts = 0, error = null, cause = excluded.cause;
  select min('epoch'::timestamptz + s.due * interval '1 millisecond') into _next
  from json_to_recordset(_scheduled) as s (due double precision);
  if _next is not null then
    perform wake_timers(_next);
  end if;
end
$$;
