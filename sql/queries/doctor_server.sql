-- What doctor checks of the server.
select
  current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery(),
  current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('autovacuum'),
  (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  current_setting('max_connections')::int
    - coalesce(current_setting('superuser_reserved_connections', true)::int, 0)
    - coalesce(current_setting('reserved_connections', true)::int, 0),
  pg_has_role('pg_read_all_stats', 'usage'),
  getdatabaseencoding(), pg_notification_queue_usage()
