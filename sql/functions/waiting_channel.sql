-- Channel on which waiters are called to look. Payload: the highest checkpoint, or nothing.
create or replace function waiting_channel(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '?' || _subscription);
end
$$;
