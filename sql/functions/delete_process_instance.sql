-- Deletes an instance of a process manager, with its timers. False: there is none.
create or replace function delete_process_instance(_process text, _id text) returns boolean
language plpgsql
set search_path from current
as $$
begin
  delete from process_instances p where p.process = _process and p.id = _id;
  return found;
end
$$;
