-- The lease of the publisher, which notifies for all appends (functions/publish.sql).
create table publisher (
  one       boolean primary key default true check (one),
  owner     uuid    not null, -- another one for each turn
  until     bigint  not null, -- now_ms(); others may claim it afterwards
  published bigint  not null, -- all events up to this position were notified
  closed    boolean not null  -- nothing is left to be notified
);
