create or replace function is_emptied(_event events) returns boolean
language sql stable
return _event.data::text = '{}' and _event.metadata::text = '{"erased":true}';
