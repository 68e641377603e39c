-- Until when appends leave their notifications to the publisher (now_ms()). It is a sequence, for a value that is written to
-- one is visible at once in every snapshot, and leaves no old row versions that each append would have to pass.
create sequence coalescing_until as bigint minvalue 0 start 0;
