-- What is installed of functions/: the name of each file, the md5 of its text, and the version of the package that
-- installed it.
create table functions (
  name         text collate "C" primary key,
  md5          text             not null,
  version      text             not null,
  installed_at timestamptz      not null default clock_timestamp()
);

-- Each process reads this table when it connects. So the roles that may read `migrations` may read it, too.
do $$
declare
  _role text;
begin
  for _role in
    select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
    from pg_class c cross join lateral aclexplode(c.relacl)
    where c.oid = 'migrations'::regclass and privilege_type = 'SELECT' and grantee <> c.relowner
  loop
    execute 'grant select on functions to ' || _role;
  end loop;
end
$$;

-- A store that was made before there was this table has other names for some things. Of a new store this changes nothing.
-- Functions keep their grants: they are renamed, and then replaced, unless their parameters have other names now.
do $$
declare
  _schema constant oid := (select oid from pg_namespace where nspname = current_schema());
  _old    text;
  _new    text;
begin
  if exists (select from pg_trigger where tgname = 'ring_parked' and tgrelid = 'parked_events'::regclass) then
    alter trigger ring_parked on parked_events rename to wake_waiters_of_parked;
  end if;
  for _old, _new in
    select old, new
    from (values
      ('announced', 'read_announcement'), ('mark_name', 'announcement_setting'),
      ('bell', 'wake_channel'), ('ring_waiting', 'wake_waiters'), ('ring_parked', 'wake_waiters_of_parked'),
      ('set_aside', 'events_of_parked_stream'), ('quiet', 'is_coalescing'), ('quiet_ms', 'coalescing_ms'),
      ('quiet_waiting', 'waiting_for_notify'), ('quiet_claim', 'claim_publishing'), ('quiet_close', 'end_publishing'),
      ('quiet_ring', 'publish')
    ) as renamed (old, new)
    where exists (select from pg_proc where pronamespace = _schema and proname = old)
  loop
    execute format('alter function %I rename to %I', _old, _new);
  end loop;
  drop function if exists quiet_renew(uuid, bigint, boolean);
  drop function if exists settle(text, bigint, bigint, text, boolean);

  alter sequence if exists quiet_until rename to coalescing_until;
  if to_regclass('conductor') is not null then
    alter table conductor rename to publisher;
    alter table publisher rename column rung to published;
    for _old in select conname from pg_constraint where conrelid = 'publisher'::regclass and starts_with(conname, 'conductor') loop
      execute format('alter table publisher rename constraint %I to %I', _old, replace(_old, 'conductor', 'publisher'));
    end loop;
  end if;
end
$$;
