import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of a Knex transaction that are used. */
export interface KnexTransaction {
  readonly isTransaction?: boolean
  raw(sql: string): { options(options: { text: string; values: unknown[] }): PromiseLike<any> }
}

/**
 * The client of a Knex transaction on PostgreSQL.
 *
 * @throws ValidationError if it is not what `knex.transaction` hands to its callback or resolves with
 * @example
 * await knex.transaction(async (trx) => {
 *   await trx('orders').insert({ id: '42' })
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromKnex(trx) })
 * })
 */
export function fromKnex(trx: KnexTransaction): SqlClient {
  return adapt(trx, {
    what: 'what knex.transaction() hands to its callback',
    isOne: ({ isTransaction, raw }) => isTransaction === true && typeof raw === 'function',
    // Options go to the driver as they are. Knex itself would take every question mark for a value.
    query: async (trx, text, values) => (await trx.raw(text).options({ text, values })).rows,
  })
}
