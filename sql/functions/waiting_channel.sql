-- The channel that wakes the waiters of a subscription. The payload is the highest checkpoint, or nothing.
create or replace function waiting_channel(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '?' || _subscription);
end
$$;
