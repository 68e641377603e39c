-- What the trigger appended() does after an insert, for the one event that append_one() has inserted. Internal, as announce().
create or replace function settle_one(_position bigint) returns void
language plpgsql
as $$
declare
  _row        events;
  _coalescing constant boolean := is_coalescing();
begin
  select * into strict _row from events e where e.position = _position;
  perform settle(_row.category, _position, _position, read_announcement(), _coalescing);
  perform refuse_malformed(_row);
  if strpos(_row.metadata::text, '"$tags"') > 0 and not coalesce(may_tag(), false) then
    perform refuse_tagged(_row);
  end if;
  if not _coalescing then
    perform pg_notify(current_schema(), _position::text);
  end if;
end
$$;
