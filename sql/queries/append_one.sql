-- One event: functions/append_one.sql says what goes in. As one value, (outcome,version,position,recorded_at), which is cheaper than
-- a table of one row.
select meowmx.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9)
