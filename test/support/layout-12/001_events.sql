-- The log. One row an event; rows are only ever added.
--
-- position  orders the whole store. It comes from a sequence, so a lower one may commit after a higher one;
--           003_horizon.sql says up to where that can no longer happen. It ends at 2^53 - 1, the last whole number
--           that is exact in JavaScript.
-- version   orders one stream: 0, 1, 2 and so on, without a gap. Its unique index is the optimistic lock: there
--           is no table of streams to update, log and vacuum on every append.
-- data      json, not jsonb: it comes back to the byte and is read in half the time. Who wants to search in it
--           builds an index on (data::jsonb).
--
-- Names are compared by their bytes (collate "C"): that is quicker, and no index breaks where an upgrade of the operating
-- system brings another order of letters. So in all tables, for what is indexed.
--
-- Columns of fixed width come first, so that no byte goes to padding. What names and versions may be is checked by a
-- trigger (004_notify.sql): checks of the table are read anew for each statement, a tenth of an append.
create table events (
  position    bigint           generated always as identity (maxvalue 9007199254740991) primary key,
  recorded_at timestamptz      not null default clock_timestamp(),
  id          uuid             not null default gen_random_uuid(),
  version     int              not null,
  category    text collate "C" not null,
  stream_id   text collate "C" not null,
  type        text collate "C" not null,
  data        json             not null,
  metadata    json             not null default '{}',
  constraint events_id unique (id),
  constraint events_version unique (category, stream_id, version)
);

create index events_category_position on events (category, position);

-- Nothing that was appended is ever changed or taken away, by whomever. An administrator who must (erasure, a
-- restore by halves) says so, for one transaction:  set local meowmx.maintenance = 'on'
create function refuse_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if current_setting('meowmx.maintenance', true) = 'on' then
    return null;
  end if;
  raise exception '% on %.events refused: events are append-only', tg_op, tg_table_schema
    using errcode = 'MW001', hint = 'An administrator may: set local meowmx.maintenance = ''on''';
end
$$;

create trigger append_only
  before update or delete or truncate on events
  for each statement execute function refuse_change();

alter table events enable always trigger append_only;
