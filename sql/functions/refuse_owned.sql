-- Raises an error if an executor owns a partition of the subscription, or waits for one.
create or replace function refuse_owned(_name text) returns void
language plpgsql
set search_path from current
as $$
declare
  _now    constant timestamptz := clock_timestamp();
  _owners text;
begin
  select string_agg(format('%s (%s)', owner, what), ' and ' order by owner) into _owners
  from (
    select owner, coalesce('partition ' || string_agg(partition::text, ', ' order by partition), 'waiting') as what
    from (
      select c.owner, c.partition from checkpoints c
      where c.subscription = _name and c.owner is not null and c.lease_until > _now
      union all
      select x.owner, null from executors x where x.subscription = _name and x.alive_until > _now
    ) as alive
    group by owner
  ) as owners;
  if _owners is not null then
    raise exception 'subscription "%" is owned by %: stop them first', _name, _owners using errcode = 'MW010';
  end if;
end
$$;
