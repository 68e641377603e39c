-- A state that was computed before an erasure must not be stored after it. (The lock comes first: the query sees what was
-- committed until then.)
create or replace function forget_erased() returns trigger
language plpgsql
set search_path from current
as $$
begin
  perform pg_advisory_xact_lock_shared(erasure_key(new.category, new.stream_id));
  if exists (
    select from events e
    where e.category = new.category and e.stream_id = new.stream_id and e.version > new.version and e.type = '$erased'
  ) then
    return null;
  end if;
  return new;
end
$$;
