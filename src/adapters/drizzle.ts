import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of a Drizzle transaction that are used. */
export interface DrizzleTransaction {
  execute(query: { getSQL(): any }): PromiseLike<unknown>
  rollback(): never
}

/**
 * The client of a Drizzle transaction on PostgreSQL.
 *
 * @throws ValidationError if it is not what `db.transaction` hands to its callback
 * @example
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values({ id: '42' })
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromDrizzle(tx) })
 * })
 */
export function fromDrizzle(tx: DrizzleTransaction): SqlClient {
  return adapt(tx, {
    what: 'what db.transaction() of Drizzle hands to its callback',
    isOne: ({ execute, rollback }) => typeof execute === 'function' && typeof rollback === 'function', // only a transaction has this
    query: async (tx, text, values) => {
      // Our texts are not templates of drizzle, so this replaces the result of `sql`.
      const result = await tx.execute({ getSQL: () => ({ toQuery: () => ({ sql: text, params: values }) }) })
      return Array.isArray(result) ? result : (result as { rows?: unknown }).rows // postgres.js resolves with the rows
    },
  })
}
