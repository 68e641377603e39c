create or replace function may_erase() returns boolean
language sql stable
return has_column_privilege('events', 'data', 'update') and has_column_privilege('events', 'metadata', 'update');
