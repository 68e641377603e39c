-- Tags: events that several streams' decisions depend on are found by them, and appended under conditions on them.
--
-- One row a tag of an event; an event without tags has none. A page of one tag is a range of the index. With the event itself its
-- tags travel as the first key of its metadata, {"$tags":["a","b"], ...}, sorted: so reading, copying and erasing events know them
-- without a column of their own, which each event without tags would pay for. Only the append functions and an import write them.
create table event_tags (
  tag      text collate "C" not null,
  position bigint           not null,
  primary key (tag, position)
);

-- With this key the store signs what a query has seen (functions/sign_seen.sql). One row.
create table seen_key (
  key bytea not null
);
insert into seen_key (key) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Only events that carry all of these; null: all events.
alter table subscriptions add column tags text[];

-- The roles that may read, append and erase events may do so with their tags.
do $$
declare
  _role  text;
  _right text;
begin
  for _role, _right in
    select distinct case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end, privilege_type
    from (
      select c.relowner, a.* from pg_class c cross join lateral aclexplode(c.relacl) as a where c.oid = 'events'::regclass
      union all
      select c.relowner, a.* from pg_attribute t join pg_class c on c.oid = t.attrelid cross join lateral aclexplode(t.attacl) as a
      where c.oid = 'events'::regclass
    ) as rights
    where grantee <> relowner and privilege_type in ('SELECT', 'INSERT', 'UPDATE')
  loop
    if _right = 'SELECT' then
      execute 'grant select on event_tags, seen_key to ' || _role;
    elsif _right = 'INSERT' then
      execute 'grant insert on event_tags to ' || _role;
    else
      execute 'grant delete on event_tags to ' || _role;
    end if;
  end loop;
end
$$;

-- They have other parameters now.
drop function if exists append(text, text, json, text);
drop function if exists append_to(regclass, text, text, json, text);
drop function if exists subscribe(text, text[], text[], text, int, bigint);
drop function if exists walk(boolean, text, bigint, bigint, bigint, text[], text[], bigint[]);
drop function if exists count_versions(text, text, int, int, text[], bigint);
drop function if exists events_of_parked_stream(text, text, bigint, text[]);
drop function if exists query_page(json, bigint, bigint);
