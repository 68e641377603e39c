create or replace trigger wake_waiters_of_parked
  after insert or update of position or delete on parked_events
  for each row execute function wake_waiters_of_parked();
