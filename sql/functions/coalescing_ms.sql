-- For how many ms a publisher's lease lasts, and so for how long appends leave their notifications to it at most.
create or replace function coalescing_ms() returns int
language sql immutable
return 500;
