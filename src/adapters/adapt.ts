import { attempt } from '../core/describe.ts'
import { ValidationError } from '../core/errors.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { serverError } from './server-error.ts'

/** How the transaction of one library becomes a client. */
interface Adapter<T> {
  /** What the function takes, for its error. */
  readonly what: string
  /** Whether this is such a transaction. It may throw. */
  isOne(tx: T): boolean
  /** Runs one statement in it, and resolves with its rows. */
  query(tx: T, text: string, values: unknown[]): PromiseLike<unknown>
}

/** The client of each transaction: appends on one client take turns, so there must be only one. */
const clients = new WeakMap<object, SqlClient>()

/** The client of a transaction. Throws if it is not one. */
export function adapt<T extends object>(tx: T, { what, isOne, query }: Adapter<T>): SqlClient {
  if (!attempt(() => isOne(tx))) throw new ValidationError('tx', `must be ${what}`, shown(tx))
  const known = clients.get(tx)
  if (known) return known
  const client: SqlClient = {
    async query(text, values = []) {
      try {
        const rows = await query(tx, text, values)
        return { rows: Array.isArray(rows) ? [...rows] : [] }
      } catch (error) {
        throw serverError(error)
      }
    },
  }
  clients.set(tx, client)
  return client
}

/** An object of a library may hold a whole connection, with its password. */
function shown(tx: unknown): unknown {
  if (typeof tx === 'function') return 'a function'
  if (typeof tx !== 'object' || tx === null) return tx
  return `an object of class ${attempt(() => tx.constructor.name) ?? 'unknown'}`
}
