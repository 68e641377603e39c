-- The lease of the process that notifies for all (functions/quiet_ring.sql).
create table conductor (
  one    boolean primary key default true check (one),
  owner  uuid    not null, -- another one for each turn
  until  bigint  not null, -- now_ms; others may claim it afterwards
  rung   bigint  not null,
  closed boolean not null  -- nothing is left to be notified
);
