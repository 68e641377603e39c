-- Refuse a condition whose "after" lies above the last position.
create or replace function refuse_ahead(_horizon bigint, _seen bigint[]) returns void
language plpgsql
as $$
begin
  if greatest(_horizon, (select max(p) from unnest(_seen) as p)) > last_position() then
    raise exception 'what was seen lies above the last position of this store, %: this store has not made it, or has lost events since', last_position()
      using errcode = 'MW021', hint = 'Query again, and decide on what is there now.';
  end if;
end
$$;
