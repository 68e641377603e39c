-- Whether the promises on which the horizon is built must be kept. A restore may break them, by a role that may change events,
-- too; anybody can make the setting alone.
create or replace function strict() returns boolean
language sql stable
return current_setting('meowmx.maintenance', true) is distinct from 'on' or not has_table_privilege('events', 'update');
