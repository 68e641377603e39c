-- What must hold for the horizon to be right: each trigger there and on; a sequence that caches nothing, only goes up and ends
-- at 2^53 - 1; no position above the sequence. $1 and $2: the table and its sequence, as text.
select
  (select pg_catalog.string_agg(name, ', ' order by name) from pg_catalog.unnest(array['announce', 'append_only', 'appended']) as name
   where not exists (
     select from pg_trigger where tgrelid = $1::regclass::oid and tgname = name and tgenabled = 'A'
   )) as triggers_off,
  (select seqcache from pg_sequence where seqrelid = $2::regclass::oid) as cache,
  (select seqincrement > 0 and not seqcycle from pg_sequence where seqrelid = $2::regclass::oid) as rises,
  (select seqmax from pg_sequence where seqrelid = $2::regclass::oid) as maximum,
  (select position from meowmx.events order by position desc limit 1) as highest,
  (select last_value - (not is_called)::int from meowmx.events_position_seq) as last_value
