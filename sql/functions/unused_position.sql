-- One below the first position if none was assigned yet; otherwise the last one.
create or replace function unused_position() returns bigint
language plpgsql
as $$
declare
  _last bigint;
begin
  while _last is null loop
    select last_value - 1 into _last from events_position_seq where not is_called;
    _last := coalesce(_last, pg_sequence_last_value('events_position_seq'));
  end loop;
  return _last;
end
$$;
