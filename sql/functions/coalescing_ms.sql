-- How many ms a publisher's lease lasts. So appends leave their notifications to it for at most this time.
create or replace function coalescing_ms() returns int
language sql immutable
return 500;
