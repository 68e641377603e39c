-- The instances of a process manager, those that changed last first, each with its timers.
select p.id, p.state, p.version, floor(date_part('epoch', p.updated_at) * 1000), p.ended_at is not null,
       coalesce((
         select json_agg(json_build_object(
           'name', t.name, 'due', floor(date_part('epoch', t.due) * 1000), 'attempts', t.attempts, 'error', t.error,
           'next', floor(date_part('epoch', t.next_at) * 1000)
         ) order by t.due, t.name)
         from meowmx.process_timers t where t.process = p.process and t.id = p.id
       ), '[]')
from meowmx.process_instances p
where p.process = $1 and ($2::text is null or p.id = $2) and (p.keep_until is null or p.keep_until > clock_timestamp())
order by p.updated_at desc, p.id
limit $3
