import knexOf from 'knex'
import { fromKnex } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

export function knex({ url, schema }: Place): Library {
  const db = knexOf.default({ client: 'pg', connection: url, pool: { min: 0, max: CONNECTIONS } })
  return {
    name: 'Knex',
    transaction: (body) =>
      db.transaction((trx) =>
        body({
          own: trx,
          client: fromKnex(trx),
          again: () => fromKnex(trx),
          note: async (name) => await trx('notes').withSchema(schema).insert({ name }),
        }),
      ),
    refuse: () => fromKnex(db),
    close: () => db.destroy(),
  }
}
