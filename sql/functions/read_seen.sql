-- Takes apart what sign_seen() has made. MW021: it was not made by this store.
create or replace function read_seen(_seen text, out horizon bigint, out positions bigint[])
language plpgsql stable
set search_path from current
as $$
begin
  if _seen ~ '^s1(\.\d{1,16})+\.[0-9a-f]{32}$' then
    positions := (string_to_array(left(_seen, -33), '.'))[2:]::bigint[];
    horizon := positions[1];
    positions := positions[2:];
  end if;
  if (sign_seen(horizon, positions) = _seen) is not true then
    raise exception 'the condition''s "after" is not what a query of this store has returned as seen: %', coalesce(left(_seen, 80), 'null')
      using errcode = 'MW021';
  end if;
end
$$;
