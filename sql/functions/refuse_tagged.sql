-- Refuse tags that are not locked. A raw INSERT has taken its position before any trigger could lock them, so a conditional append
-- with a higher position could have missed it.
create or replace function refuse_tagged(_event events) returns void
language plpgsql
as $$
begin
  if json_typeof(_event.metadata) <> 'object' or _event.metadata -> '$tags' is null then
    return; -- it is nested deeper, or part of a text
  end if;
  if strict() then
    raise exception 'version % of stream "%" of category "%" has tags (metadata."$tags"), which an INSERT can not write',
      _event.version, _event.stream_id, _event.category
      using errcode = 'MW019',
            hint = 'Call append(category, stream, ''[{"type": ..., "data": ..., "tags": ["a", "b"]}]'') instead: it locks them first.';
  end if;
  if json_typeof(_event.metadata -> '$tags') <> 'array' or not starts_with(_event.metadata::text, '{"$tags":[') then
    raise exception 'version % of stream "%" of category "%" has metadata whose "$tags" are not tags as append writes them: %',
      _event.version, _event.stream_id, _event.category, left(_event.metadata::text, 80) using errcode = 'check_violation';
  end if;
end
$$;
