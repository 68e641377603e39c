create or replace trigger append_only
  before update or delete or truncate on events
  for each statement execute function refuse_change();

alter table events enable always trigger append_only;
