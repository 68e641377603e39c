-- Whether this transaction inserts events whose tags it has locked before (lock_tags).
create or replace function may_tag() returns boolean
language sql stable
return current_setting(tags_setting(), true) = pg_current_xact_id_if_assigned()::text;
