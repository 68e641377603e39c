create or replace trigger ring_parked
  after insert or update of position or delete on parked_events
  for each row execute function ring_parked();
