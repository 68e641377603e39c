-- Channel on which executors are called to look: a partition is free, somebody joined, a stream is to be replayed.
create or replace function bell(_subscription text) returns text
language plpgsql stable
set search_path from current
as $$
begin
  return '#' || md5(current_schema() || '!' || _subscription);
end
$$;
