create or replace function is_tombstone(_event events) returns boolean
language sql stable
return _event.type = '$erased' and exists (select from tombstones t where t.id = _event.id);
