-- An append with a condition in a transaction whose snapshot may be from before its locks: it would not see what others have committed.
create or replace function refuse_isolation() returns void
language plpgsql
as $$
begin
  raise exception 'an append with a condition needs isolation level read committed, this transaction is %',
    current_setting('transaction_isolation') using errcode = 'MW018';
end
$$;
