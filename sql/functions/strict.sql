-- Whether the promises which the horizon is built on have to be kept: a restore by who may change events too may break
-- them; the setting alone anybody can make.
create or replace function strict() returns boolean
language sql stable
return current_setting('meowmx.maintenance', true) is distinct from 'on' or not has_table_privilege('events', 'update');
