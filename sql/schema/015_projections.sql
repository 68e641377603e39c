-- Projections: read models that are built from events. Each version has a PostgreSQL schema of its own for its tables, and a
-- subscription of its own. What readers query are views on the tables of the version that is live.
--
-- generation    1, and one more for each rebuild of the version
-- is_live       the views are on the tables of this one
-- expose        the schema that holds the views
-- setup_hash    of the text that makes the tables; with selector_hash it tells whether the definition has changed
-- is_set_up     its tables and its subscription are there. A rebuild that no process has begun has neither
-- completed_at  since when it is complete; from then on it may be switched to
-- activated_at  when it was switched to for the last time
-- dropped_at    it was dropped; if it was live once, its number can not be used again
create table projections (
  name          text collate "C" not null check (name <> '' and char_length(name) <= 255),
  version       int              not null check (version > 0),
  generation    int              not null default 1 check (generation > 0),
  is_live       boolean          not null default false,
  schema_name   text collate "C" not null,
  expose        text collate "C" not null,
  subscription  text collate "C" not null,
  setup_hash    text             not null,
  selector_hash text             not null,
  is_set_up     boolean          not null default false,
  created_at    timestamptz      not null default clock_timestamp(),
  completed_at  timestamptz,
  activated_at  timestamptz,
  dropped_at    timestamptz,
  primary key (name, version, generation),
  constraint projections_schema_name unique (schema_name),
  constraint projections_subscription unique (subscription)
);
create unique index projections_live on projections (name) where is_live;
