-- The end of claimed timers: those in _fired are deleted. Those in _failed are tried again in _again_ms, or, if that is null, are kept as
-- failed. A timer that was replaced meanwhile (it has another due time) does not change.
create or replace function settle_timers(
  _fired text[], _failed text[], _due bigint[], _errors text[], _again_ms double precision[]
) returns void
language plpgsql
set search_path from current
as $$
begin
  if cardinality(_fired) > 0 then
    delete from timers t where t.key = any (_fired);
  end if;
  if cardinality(_failed) > 0 then
    update timers t
    set attempts = t.attempts + 1, error = f.error, next_at = clock_timestamp() + f.again_ms * interval '1 millisecond'
    from unnest(_failed, _due, _errors, _again_ms) as f (key, due, error, again_ms)
    where t.key = f.key and (date_part('epoch', t.due) * 1000000)::bigint = f.due;
  end if;
end
$$;
