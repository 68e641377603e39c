-- Partitions whose owner has not renewed its lease, and that no executor has taken over: a row for each subscription and owner.
select c.subscription, c.owner, count(*), (extract(epoch from clock_timestamp() - max(c.lease_until)) * 1000)::bigint
from meowmx.checkpoints c
where c.owner is not null and c.lease_until < clock_timestamp()
group by c.subscription, c.owner
order by 1, 2
