-- The conditions for a correct horizon: each trigger exists and is enabled; the sequence caches nothing, only rises and ends at
-- 2^53 - 1; no position is above the sequence. $1 and $2: the table and its sequence, as text.
--
-- And the functions, whose names are $3, and the triggers must work in this schema. If it was renamed or copied, they may be
-- set or bound to the old one, and write there. `astray`: which ones are, and `astray_to`: in which schema they work.
with store as materialized (
  select n.oid, n.nspname::text as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1::regclass::oid
), own as materialized (
  select p.oid, p.proname::text as name, p.proconfig
  from store s
  join pg_depend d on d.refclassid = 'pg_namespace'::regclass::oid and d.refobjid = s.oid and d.classid = 'pg_proc'::regclass::oid
  join pg_proc p on p.oid = d.objid
  where p.proname = any ($3::text[])
), places as (
  -- PostgreSQL writes the name with quotes only if it must, or always (quote_all_identifiers).
  select o.name, pg_catalog.replace(pg_catalog.substr(setting, 13), ', pg_temp', '') as place
  from store s
  cross join own o
  cross join lateral pg_catalog.unnest(o.proconfig) as setting
  where starts_with(setting, 'search_path=')
    and not starts_with(setting || ',', 'search_path=' || quote_ident(s.name) || ',')
    and not starts_with(setting || ',', 'search_path="' || pg_catalog.replace(s.name, '"', '""') || '",')
  union all
  select o.name, n.nspname::text
  from store s
  cross join own o
  join pg_depend d on d.classid = 'pg_proc'::regclass::oid and d.objid = o.oid
  left join pg_class c on d.refclassid = 'pg_class'::regclass::oid and c.oid = d.refobjid
  left join pg_proc p on d.refclassid = 'pg_proc'::regclass::oid and p.oid = d.refobjid
  left join pg_type t on d.refclassid = 'pg_type'::regclass::oid and t.oid = d.refobjid
  join pg_namespace n on n.oid = coalesce(c.relnamespace, p.pronamespace, t.typnamespace)
    and n.oid <> s.oid and n.nspname <> 'pg_catalog'
  union all
  select t.tgname::text, n.nspname::text
  from store s
  join pg_class c on c.relnamespace = s.oid and c.relname = any ('{events,parked_events,snapshots}'::text[])
  join pg_trigger t on t.tgrelid = c.oid
  join pg_proc p on p.oid = t.tgfoid and p.proname = any ($3::text[]) and p.pronamespace <> s.oid
  join pg_namespace n on n.oid = p.pronamespace
)
select
  (select pg_catalog.string_agg(name, ', ' order by name) from pg_catalog.unnest(array['announce', 'append_only', 'appended']) as name
   where not exists (
     select from pg_trigger where tgrelid = $1::regclass::oid and tgname = name and tgenabled = 'A'
   )) as triggers_off,
  (select seqcache from pg_sequence where seqrelid = $2::regclass::oid) as cache,
  (select seqincrement > 0 and not seqcycle from pg_sequence where seqrelid = $2::regclass::oid) as rises,
  (select seqmax from pg_sequence where seqrelid = $2::regclass::oid) as maximum,
  (select position from meowmx.events order by position desc limit 1) as highest,
  (select last_value - (not is_called)::int from meowmx.events_position_seq) as last_value,
  (select pg_catalog.string_agg(distinct name, ', ') from places) as astray,
  (select pg_catalog.min(place) from places) as astray_to
