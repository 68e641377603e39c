-- Note down what was installed. What was installed once more, with the same text, keeps its version.
insert into meowmx.functions as f (name, md5, version)
select name, md5, $3 from unnest($1::text[], $2::text[]) as u (name, md5)
on conflict (name) do update
set md5 = excluded.md5, version = excluded.version, installed_at = excluded.installed_at
where f.md5 <> excluded.md5
