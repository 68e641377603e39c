-- Whether the rules that the horizon depends on must be kept. A restore may break them, if its role may also change events: the
-- setting alone, which anybody can make, is not enough.
create or replace function strict() returns boolean
language sql stable
return current_setting('meowmx.maintenance', true) is distinct from 'on' or not has_table_privilege('events', 'update');
