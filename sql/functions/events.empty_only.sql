create or replace trigger empty_only
  after update on events
  for each row when (not is_emptied(new)) execute function refuse_rewrite();

alter table events enable always trigger empty_only;
