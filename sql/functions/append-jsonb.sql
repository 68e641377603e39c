-- append() with events and a condition of type jsonb instead of json.
--
-- A text in quotes has no type until a function is chosen, and fits both. PostgreSQL then prefers append(), whose category is text and
-- not varchar: that is why the category is varchar here. Events and condition are of one type, json or jsonb, or texts in quotes.
create or replace function append(
  _category varchar, _stream_id text, _events jsonb, _expected text default 'any', _condition jsonb default null
)
returns setof events
language sql
begin atomic
  select a from append_to('events'::regclass, _category, _stream_id, _events::json, _expected, _condition::json) as a;
end;
