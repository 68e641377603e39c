-- How long appends stay quiet after somebody said that he notifies for them, at most.
create or replace function quiet_ms() returns int
language sql immutable
return 500;
