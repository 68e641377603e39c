create or replace trigger announce
  before insert on events
  for each statement execute function announce_every();

alter table events enable always trigger announce;
