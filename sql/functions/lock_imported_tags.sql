-- The import writes events as they are, and their tags with them: locks the tags first, as an append does (lock_tags).
create or replace function lock_imported_tags(_tags text[]) returns boolean
language plpgsql
set search_path from current
as $$
begin
  perform allow_tags();
  return lock_tags('{}', _tags, true);
end
$$;
