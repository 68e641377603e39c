-- Whether appends leave their notifications to the publisher now. An expiry that is further ahead than a lease can last was
-- written before the clock was set back, and does not count.
create or replace function is_coalescing() returns boolean
language sql volatile
return coalesce(pg_sequence_last_value('coalescing_until') - now_ms() <@ int8range(1, coalescing_ms() + 1), false);
