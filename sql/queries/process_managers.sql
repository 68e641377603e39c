-- The process managers that have instances. Each number is counted up to 10,001, so that many instances cost no more than that.
-- Late: due for longer than a second. Failed: not tried again by itself.
with recursive names as (
  (select i.process as name from meowmx.process_instances i order by i.process limit 1)
  union all
  select (select i.process from meowmx.process_instances i where i.process > n.name order by i.process limit 1)
  from names n where n.name is not null
)
select n.name, i.instances, e.ended, t.timers, t.late, t.failed
from names n
cross join lateral (
  select count(*) as instances
  from (select from meowmx.process_instances p where p.process = n.name limit 10001) as first
) as i
cross join lateral (
  select count(*) as ended
  from (select from meowmx.process_instances p where p.process = n.name and p.keep_until is not null limit 10001) as first
) as e
cross join lateral (
  select count(*) as timers, count(*) filter (where next_at is null) as failed,
         count(*) filter (where next_at < clock_timestamp() - interval '1 second') as late
  from (select p.next_at from meowmx.process_timers p where p.process = n.name limit 10001) as first
) as t
where n.name is not null
order by n.name
