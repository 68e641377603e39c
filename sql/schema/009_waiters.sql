-- The waiters: processes that wait until a subscription has handled an event. A row is only a hint that saves waiting, for a
-- waiter also asks by itself now and then. So the table need not survive a crash, and a row that was not deleted expires.
create unlogged table waiters (
  subscription text collate "C" not null,
  position     bigint           not null,
  id           uuid             not null,
  until        timestamptz      not null,
  primary key (subscription, position, id)
);
