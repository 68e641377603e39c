-- The last position that was handed out; refused by a standby, which may not know it yet.
select max(head) from meowmx.horizons()
