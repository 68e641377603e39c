-- Milliseconds since 1970.
create or replace function now_ms() returns bigint
language sql volatile
return (date_part('epoch', clock_timestamp()) * 1000)::bigint;
