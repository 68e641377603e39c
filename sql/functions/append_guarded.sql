-- append_batch for a caller's own transaction: a race that is lost after something was written undoes just this call,
-- and is run again, so that the caller hears of a conflict in a transaction that is still usable.
create or replace function append_guarded(
  _category text[], _stream_id text[], _stream int[], _size int[], _expected int[], _atomic boolean, _lookup boolean,
  _events json,
  out outcome text[], out version int[], out duplicate uuid[], out positions bigint[], out recorded_at bigint
)
language plpgsql
set search_path from current
as $$
declare
  _constraint text;
begin
  loop
    begin
      select * into strict outcome, version, duplicate, positions, recorded_at
      from append_batch(_category, _stream_id, _stream, _size, _expected, _atomic, _lookup, _events);
      return;
    exception when unique_violation then
      get stacked diagnostics _constraint = constraint_name;
      -- An index of others, or a snapshot that will never see who won.
      if _constraint not in ('events_id', 'events_version')
         or current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise;
      end if;
      _lookup := true;
    end;
  end loop;
end
$$;
