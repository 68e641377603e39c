-- Which events are tombstones, by id. Type and metadata alone would not tell: before types that begin with $ were reserved,
-- anybody could append an event that looks like one. Only a role that may erase can write here.
create table tombstones (id uuid primary key);
