-- True while the epoch is current: the checkpoint's row stays locked until this transaction ends, so that it stays true.
create or replace function holds(_subscription text, _partition int, _epoch bigint) returns boolean
language plpgsql
set search_path from current
as $$
begin
  perform from checkpoints c
  where c.subscription = _subscription and c.partition = _partition and c.epoch = _epoch and c.owner is not null
  for no key update;
  return found;
end
$$;
