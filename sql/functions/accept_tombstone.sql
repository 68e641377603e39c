-- Whether this transaction may write this event of a reserved type; if so, notes it down. A transaction may, if it erases a
-- stream, or copies a stream that was erased elsewhere. Both set meowmx.maintenance = 'tombstones', which does nothing for
-- other roles.
create or replace function accept_tombstone(_event events) returns boolean
language plpgsql
as $$
begin
  if current_setting('meowmx.maintenance', true) is distinct from 'tombstones' or not may_erase() or _event.type <> '$erased' then
    return false;
  elsif is_emptied(_event) then
    return true; -- it only looked like a tombstone
  elsif _event.metadata::text = '{"tombstone":true}'
        and _event.data::text ~ E'^\\{"events":\\d+(,"reason":"([^"\\\\]|\\\\.)*")?\\}$' then -- as erase_stream writes it
    insert into tombstones (id) values (_event.id) on conflict do nothing;
    return true;
  end if;
  return false;
end
$$;
