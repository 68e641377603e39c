-- All events that match, in the order of positions, and what was seen, for the condition of an append, in plain SQL:
--   select events, seen from meowmx.query('[{"tags": ["course:1"], "types": ["StudentSubscribed"]}]')
-- _query  one item or an array of items: all of its tags, and any of its types if there are some
create or replace function query(_query json, out events json, out seen text)
language plpgsql
set search_path from current
as $$
declare
  _page      json;
  _horizon   bigint;
  _positions bigint[];
begin
  select json_agg(json_build_object(
           'id', p.id, 'category', p.category, 'streamId', p.stream_id, 'version', p.version, 'position', p.position, 'type', p.type,
           'data', p.data, 'metadata', p.metadata, 'recordedAt', p.recorded_at
         ) order by p.position) filter (where p.position is not null),
         max(p.horizon), coalesce(array_agg(p.position order by p.position) filter (where p.position > p.horizon), '{}')
  into _page, _horizon, _positions
  from query_page(given_query(_query)) as p;
  events := coalesce(_page, '[]');
  seen := sign_seen(_horizon, _positions);
end
$$;
