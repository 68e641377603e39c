-- Who waits until a subscription has handled an event. A hint, and nothing but latency: a waiter looks for itself now
-- and then, so the table need not survive a crash, and a row that nobody took away runs out.
create unlogged table waiters (
  subscription text collate "C" not null,
  position     bigint           not null,
  id           uuid             not null,
  until        timestamptz      not null,
  primary key (subscription, position, id)
);
