import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of a Kysely transaction that are used. */
export interface KyselyTransaction {
  readonly isTransaction: boolean
  withoutPlugins(): { executeQuery(query: any): PromiseLike<{ readonly rows: readonly unknown[] }> }
}

/**
 * The client of a Kysely transaction on PostgreSQL. Its plugins do not see the statements.
 *
 * @throws ValidationError if it is not what `db.transaction().execute` hands to its callback, or what
 *   `db.startTransaction().execute()` resolves with
 * @example
 * await db.transaction().execute(async (trx) => {
 *   await trx.insertInto('orders').values({ id: '42' }).execute()
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromKysely(trx) })
 * })
 */
export function fromKysely(trx: KyselyTransaction): SqlClient {
  return adapt(trx, {
    what: 'what db.transaction().execute() of Kysely hands to its callback',
    isOne: ({ isTransaction, withoutPlugins }) => isTransaction && typeof withoutPlugins === 'function',
    query: async (trx, text, values) =>
      (await trx.withoutPlugins().executeQuery(compiled(text, values))).rows,
  })
}

/** What Kysely's `CompiledQuery.raw` makes. */
const compiled = (sql: string, parameters: readonly unknown[]) => ({
  sql,
  parameters,
  query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
  queryId: { queryId: 'meowmx' },
})
