-- What must hold for the horizon to be right: every trigger on, no cached positions, no position above the sequence.
select
  (select string_agg(tgname, ', ' order by tgname) from pg_trigger
   where tgrelid = 'meowmx.events'::regclass and not tgisinternal and tgenabled <> 'A') as triggers_off,
  (select seqcache from pg_sequence where seqrelid = 'meowmx.events_position_seq'::regclass) as cache,
  (select position from meowmx.events order by position desc limit 1) as highest,
  (select last_value from meowmx.events_position_seq) as last_value
