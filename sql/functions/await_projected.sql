-- Waits until is_projected is true, at most _most_ms. Each check has a snapshot of its own (READ COMMITTED).
create or replace function await_projected(_subscription text, _position bigint, _most_ms int) returns boolean
language plpgsql
set search_path from current
as $$
declare
  _until constant timestamptz := clock_timestamp() + _most_ms * interval '1 ms';
begin
  loop
    if is_projected(_subscription, _position) then
      return true;
    elsif clock_timestamp() >= _until then
      return false;
    end if;
    perform pg_sleep(0.002);
  end loop;
end
$$;
