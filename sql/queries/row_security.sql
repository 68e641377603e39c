-- The tables of store $1 whose row security holds for this role, with whether a policy lets it read any row.
select
  c.relname, current_user,
  exists (
    select from pg_policy p
    where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
      and exists (
        select from pg_catalog.unnest(p.polroles) as role where role = 0::oid or pg_has_role(role, 'usage') -- 0: everybody
      )
  )
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1
  and c.relname = any ('{events,migrations,functions,subscriptions,checkpoints,executors,parked_events,waiters,publisher,snapshots,tombstones}'::text[])
  and c.relrowsecurity and row_security_active(c.oid)
order by c.relname
