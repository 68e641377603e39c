-- Where a subscription of the original's goes on here: in front of the first event of its category that it has not come to.
--   $1  category    $2, $3  its checkpoint there: transaction and id of the event
select coalesce(
  min(position) filter (where legacy is null or ((legacy ->> 'transactionId')::numeric, (legacy ->> 'id')::numeric) > ($2::numeric, $3::numeric)) - 1,
  max(position),
  0
)
from (select position, metadata -> 'legacy' as legacy from meowmx.events where category = $1) as e
