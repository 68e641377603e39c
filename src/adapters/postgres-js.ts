import type { SqlClient } from '../core/sql-client.ts'
import { adapt } from './adapt.ts'

/** The parts of a transaction of postgres.js that are used. */
export interface PostgresJsTransaction {
  unsafe(text: string, values: any[]): PromiseLike<unknown>
  savepoint: unknown
}

/**
 * The client of a transaction of postgres.js.
 *
 * postgres.js rolls a transaction back if any of its queries has failed, even if the error was caught. Conflicts and duplicates are
 * no failed queries; a failed query in the handler of an inline projection is one.
 *
 * @throws ValidationError if it is not what `sql.begin` or `sql.savepoint` hands to its callback
 * @example
 * await sql.begin(async (sql) => {
 *   await sql`insert into orders values (${'42'})`
 *   await meow.append({ category: 'order', streamId: '42' }, event, { client: fromPostgresJs(sql) })
 * })
 */
export function fromPostgresJs(sql: PostgresJsTransaction): SqlClient {
  return adapt(sql, {
    what: 'what sql.begin() of postgres.js hands to its callback',
    isOne: ({ unsafe, savepoint }) => typeof unsafe === 'function' && typeof savepoint === 'function',
    query: (sql, text, values) => sql.unsafe(text, values),
  })
}
