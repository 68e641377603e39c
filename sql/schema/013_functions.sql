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
