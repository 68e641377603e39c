-- How many events of these types and with all of these tags (null: all) a stream has from version _from to _to. If there are
-- more than _most versions, the rest is estimated to be like them, unless neither types nor tags matter.
create or replace function count_versions(_category text, _stream_id text, _from int, _to int, _types text[], _most bigint, _tags text[])
returns table (events bigint, is_estimate boolean)
language sql stable
begin atomic
  select case when _types is null and _tags is null then greatest(_to - _from + 1, 0)
              when w.last < _to then round(w.wanted * (_to - _from + 1) / w.walked::numeric)
              else w.wanted end::bigint,
         (_types is not null or _tags is not null) and coalesce(w.last < _to and w.walked = _most, false)
  from (
    select count(*) as walked, count(*) filter (where x.is_wanted) as wanted, max(x.version) as last
    from (
      select e.version, (_types is null or e.type = any (_types)) and (_tags is null or has_tags(e.position, _tags)) as is_wanted from events e
      where (_types is not null or _tags is not null) and e.category = _category and e.stream_id = _stream_id
        and e.version >= _from and e.version <= _to
      order by e.version limit (select _most)
    ) as x
  ) as w;
end;
