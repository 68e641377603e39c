-- How full NOTIFY's queue is, from 0 to 1. Asking also frees what no session has to read any more: after a session that listened
-- in an open transaction has ended, the queue stays full until this is asked.
select pg_catalog.pg_notification_queue_usage()
