-- Locks the instances that inputs are for, always in the same order, and creates those that do not exist. It also deletes ended
-- instances that need not be kept any more. Returns each with its state, and the time.
create or replace function lock_instances(_process text, _ids text[], _initial json, _version int)
returns table (id text, state json, version int, ended boolean, now_ms bigint)
language plpgsql
set search_path from current
as $$
begin
  delete from process_instances p
  where p.process = _process and p.id = any (_ids) and p.keep_until <= clock_timestamp();
  delete from process_instances p
  where p.process = _process and p.id in (
    select o.id from process_instances o
    where o.process = _process and o.keep_until <= clock_timestamp()
    order by o.keep_until limit 100 for update skip locked
  );
  insert into process_instances as p (process, id, state, version)
  select _process, i.id, _initial, _version from unnest(_ids) as i (id) order by i.id collate "C"
  on conflict do nothing;
  return query
    select p.id, p.state, p.version, p.ended_at is not null, floor(date_part('epoch', clock_timestamp()) * 1000)::bigint
    from process_instances p where p.process = _process and p.id = any (_ids)
    order by p.id for update;
end
$$;
