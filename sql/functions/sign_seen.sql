-- What a query has seen, as a text that only this store can create: the horizon, the positions above it, and a signature with
-- the key of seen_key. src/append/seen.ts does the same.
create or replace function sign_seen(_horizon bigint, _positions bigint[]) returns text
language sql stable
begin atomic
  select s.payload || '.' || left(encode(sha256(k.key || sha256(k.key || convert_to(s.payload, 'UTF8'))), 'hex'), 32)
  from seen_key k
  cross join lateral (select array_to_string(array['s1', _horizon::text] || _positions::text[], '.') as payload) as s;
end;
