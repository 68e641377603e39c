// The methods of a store that create and update its schema, with their documentation.
import type { MigrationPlan } from './migration-plan.ts'

/** A store in PostgreSQL has these. */
export interface SchemaMethods {
  /**
   * Creates the schema, or updates it to this version of the library, in one transaction. It does nothing if the schema is up
   * to date, and many processes may call it at once. The role needs the privilege to create schemas in the database.
   *
   * If the schema was renamed or copied, its functions and triggers still work on the old one: `migrate()` creates them again.
   *
   * It also installs functions and triggers whose text changed, and drops those that are gone.
   *
   * @returns the schema files that were applied, e.g. `['001_events.sql', …]`, and `'functions'` if functions or triggers were
   *   installed or dropped; an empty list if there was nothing to do
   * @throws SchemaError if the schema is newer than this library, or the encoding of the database is not UTF8
   * @example
   * const { applied } = await meow.migrate()
   */
  migrate(): Promise<{ applied: string[] }>

  /**
   * Returns the SQL that `migrate()` would run now, so that a DBA can run it with psql or another client. It changes nothing.
   *
   * @returns `sql`: one transaction, or an empty text if there is nothing to do; `pending`: what `migrate()` would return
   * @throws SchemaError if the schema is newer than this library, or the database does not have the encoding UTF8
   * @example
   * const { sql, pending } = await meow.migrationPlan()
   * if (pending.length > 0) await writeFile('migrate.sql', sql)
   */
  migrationPlan(): Promise<MigrationPlan>
}
