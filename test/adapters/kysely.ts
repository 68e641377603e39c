import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { fromKysely } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

export function kysely({ url, schema }: Place): Library {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const db = new Kysely<{ notes: { name: string } }>({
    dialect: new PostgresDialect({ pool }),
    plugins: [new CamelCasePlugin()],
  })
  return {
    name: 'Kysely',
    transaction: (body) =>
      db.transaction().execute((trx) =>
        body({
          own: trx,
          client: fromKysely(trx),
          again: () => fromKysely(trx),
          note: (name) => trx.withSchema(schema).insertInto('notes').values({ name }).execute(),
        }),
      ),
    refuse: () => fromKysely(db),
    close: () => db.destroy(),
  }
}
