create or replace trigger forget_erased
  before insert on snapshots
  for each row execute function forget_erased();
