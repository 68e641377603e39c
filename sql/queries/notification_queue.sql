-- How full NOTIFY's queue is, of 1. Asking frees what nobody has to read any more: when a session that listened in an open
-- transaction has ended, the queue stays full until somebody asks.
select pg_catalog.pg_notification_queue_usage()
