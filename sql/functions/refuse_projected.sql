-- Refuses to delete or to move the subscription of a projection: its tables would no longer match its checkpoint.
create or replace function refuse_projected(_subscription text) returns void
language plpgsql
set search_path from current
as $$
declare
  _projection projections;
begin
  select * into _projection from projections p where p.subscription = _subscription and p.dropped_at is null and p.is_set_up;
  if found then
    raise exception 'subscription "%" belongs to version % of projection "%"', _subscription, _projection.version, _projection.name
      using errcode = 'MW016', hint = case when _projection.is_live
        then 'rebuildProjection builds the live version anew; to drop it, switch to another version first: activateProjection.'
        else 'dropProjection drops this version.' end;
  end if;
end
$$;
