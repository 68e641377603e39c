-- What a session has to be set to: its isolation level, whether `lock_timeout` comes from the role or the database (null: there is
-- none), and whether it can't write.
select
  pg_catalog.current_setting('default_transaction_isolation'),
  case when pg_catalog.current_setting('lock_timeout') <> '0' then
    (select source <> 'client' from pg_catalog.pg_settings where name = 'lock_timeout')
  end,
  pg_catalog.pg_is_in_recovery() or pg_catalog.current_setting('transaction_read_only')::boolean
