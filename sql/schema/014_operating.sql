-- What an operator needs at night.

-- Since when a subscription is paused; null: it is not. And whether an executor knows that, and begins no event.
alter table subscriptions add column paused_at timestamptz;
alter table executors add column is_paused boolean not null default false;
-- It has another result now.
drop function if exists claim(text, text, int, int[], bigint[], uuid);

-- The event at the position of a parked stream is discarded: the replay of the stream leaves it out.
alter table parked_events add column discarded boolean not null default false;
drop function if exists parked_streams(text, int[]);

-- Which events were discarded, why and by whom. What was found out at night must still be there when its subscription is gone.
create table discarded_events (
  discarded_at timestamptz      not null default clock_timestamp(),
  position     bigint           not null,
  attempts     int              not null,
  subscription text collate "C" not null,
  category     text collate "C" not null,
  stream_id    text collate "C" not null,
  error        text             not null,
  reason       text             not null,
  discarded_by text             not null default current_user,
  primary key (subscription, discarded_at, position)
);
-- For an erasure, which blanks errors.
create index discarded_events_stream on discarded_events (category, stream_id);
-- The roles that may read what is parked may read it, too.
do $$
declare
  _role text;
begin
  for _role in
    select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
    from pg_class c cross join lateral aclexplode(c.relacl)
    where c.oid = 'parked_events'::regclass and privilege_type = 'SELECT' and grantee <> c.relowner
  loop
    execute 'grant select on discarded_events to ' || _role;
  end loop;
end
$$;

-- Finds the events of a correlation id (queries/trace.sql). Events without one are not in it and cost next to nothing.
--
-- The key is a hash, because an id may be longer than an index allows. It is made without raising an error, whatever the
-- metadata is: in JSON with a backslash, ->> would fail at \u0000 or half a surrogate pair. There the key is the text of the
-- first "correlationId" as it is written, with its escapes. (E'' means the same whatever standard_conforming_strings is.)
create index events_correlation on events (
  hashtextextended(
    case when strpos(metadata::text, E'\\') = 0 then metadata ->> 'correlationId'
         else substring(metadata::text from E'"correlationId"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)"') end,
    0
  ),
  position
) where strpos(metadata::text, '"correlationId"') > 0;
