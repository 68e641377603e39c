-- Whether appends stay quiet now. An expiry that is further ahead than a lease can be was written before the clock was set
-- back.
create or replace function quiet() returns boolean
language sql volatile
return coalesce(pg_sequence_last_value('quiet_until') - now_ms() <@ int8range(1, quiet_ms() + 1), false);
