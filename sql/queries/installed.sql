-- What is installed: the number of each schema file; each function and trigger with the md5 of its text, and the version of the
-- package that installed it.
select id, null, null, null from meowmx.migrations
union all
select null, name, md5, version from meowmx.functions
