-- Until when appends stay quiet (now_ms). A sequence, for what is written to it holds at once, in every snapshot, and
-- leaves no old versions behind that each append would have to pass by.
create sequence quiet_until as bigint minvalue 0 start 0;
