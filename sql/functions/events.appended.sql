create or replace trigger appended
  after insert on events
  referencing new table as inserted
  for each statement execute function appended();

alter table events enable always trigger appended;
