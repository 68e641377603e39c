-- Transactions of this database, also prepared ones, that are open for longer than $1 ms; the oldest first.
select pid, application_name, usename, state, (extract(epoch from clock_timestamp() - xact_start) * 1000)::bigint as age, null
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  and xact_start < clock_timestamp() - $1::bigint * interval '1 ms'
union all
select null, null, owner, 'prepared', (extract(epoch from clock_timestamp() - prepared) * 1000)::bigint, quote_literal(gid)
from pg_prepared_xacts
where database = current_database() and prepared < clock_timestamp() - $1::bigint * interval '1 ms'
order by 5 desc
