-- append_batch for a caller's own transaction. If it loses a race after it has written something, only this call is undone and run
-- again. So the caller gets a conflict as a result, in a transaction that is still usable.
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
      -- The conflict is with an index that is not ours, or the snapshot will never show who won.
      if _constraint not in ('events_id', 'events_version')
         or current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise;
      end if;
      _lookup := true;
    end;
  end loop;
end
$$;
