-- Append events that were recorded elsewhere, as they are: ids, versions, their time, and their order. One statement, so all of
-- them or none. Events whose ids are already recorded are skipped. If one is recorded with other content, nothing is written.
--   $1 ids, $2 categories, $3 stream ids, $4 versions, $5 types, $6 data, $7 metadata (JSON as text: to the character, and \u0000
--   too), $8 times; null for an id, a version, metadata or a time: a new one, the next of the stream, {}, now
--   $9  true: versions do not count, each follows what its stream has
-- Tombstones of erased streams are taken from a role that may erase (functions/erase_stream.sql).
-- Tags are part of the metadata; they are locked before the first event takes its position.
-- Returns how many were written, how many were known, and the number, from 1, of the first one that is recorded with other
-- content.
with allowed as materialized (
  select meowmx.allow_tombstones(), meowmx.lock_imported_tags(array(
    select distinct tag from unnest($7::text[]) as m cross join lateral unnest(meowmx.tags_of(m::json)) as tag
  ))
), given as materialized (
  select n, coalesce(id, gen_random_uuid()) as id, category, stream_id, case when not $9::boolean then version end as version,
         type, data::json as data, coalesce(metadata, '{}')::json as metadata, recorded_at
  from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
    with ordinality as e (id, category, stream_id, version, type, data, metadata, recorded_at, n), allowed
), known as materialized (
  select g.n, (x.category, x.stream_id, x.type, x.version) = (g.category, g.stream_id, g.type, coalesce(g.version, x.version))
              and meowmx.same_json(x.data, g.data) as same
  from given g join meowmx.events x on x.id = g.id
), fresh as materialized (
  select g.*, row_number() over (partition by category, stream_id order by n) as nth
  from given g
  where g.n not in (select n from known) and not exists (select from known where not same)
), last as materialized (
  select category, stream_id, coalesce((
    select x.version from meowmx.events x
    where x.category = s.category and x.stream_id = s.stream_id order by x.version desc limit 1
  ), -1) as version
  from (select distinct category, stream_id from fresh where version is null) as s
), written as (
  insert into meowmx.events (recorded_at, id, version, category, stream_id, type, data, metadata)
  select coalesce(f.recorded_at, clock_timestamp()), f.id, coalesce(f.version, l.version + f.nth), f.category, f.stream_id,
         f.type, f.data, f.metadata
  from fresh f left join last l using (category, stream_id)
  order by f.n
  returning position, metadata
), tagged as (
  insert into meowmx.event_tags (tag, position)
  select tag, w.position from written w cross join lateral unnest(meowmx.tags_of(w.metadata)) as tag
)
select (select count(*) from written), (select count(*) from known), (select min(n) from known where not same)
