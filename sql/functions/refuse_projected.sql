-- Refuses to delete or to move the subscription of a projection: its tables would no longer match its checkpoint.
create or replace function refuse_projected(_subscription text) returns void
language plpgsql
set search_path from current
as $$
declare
  _projection projections;
begin
  select * into _projection from projections p where p.subscription = _subscription and p.dropped_at is null;
  if found then
    raise exception 'subscription "%" belongs to version % of projection "%"', _subscription, _projection.version, _projection.name
      using errcode = 'MW016', hint = 'Use rebuildProjection or dropProjection.';
  end if;
end
$$;
