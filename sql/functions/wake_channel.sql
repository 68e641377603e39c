-- The channel that wakes the executors of a subscription: a partition is free, an executor joined, or a stream is to be replayed.
create or replace function wake_channel(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '!' || _subscription);
end
$$;
