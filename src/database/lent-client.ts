import type pg from 'pg'
import { SQLSTATE } from './sqlstate.ts'

/** A query that failed in a transaction, and the borrower for which it ran. */
export interface FailedQuery {
  readonly error: unknown
  readonly borrower: unknown
}

/** The last failed query of each client. */
const failedQueries = new WeakMap<pg.ClientBase, FailedQuery>()

/** The query that aborted the client's transaction, if a handler ran it. */
export const failedQuery = (client: pg.ClientBase): FailedQuery | undefined => failedQueries.get(client)

/** Called when a transaction begins: earlier failures do not belong to it. */
export const forgetFailedQuery = (client: pg.ClientBase): void => void failedQueries.delete(client)

/** A client that a handler may use until it is revoked. */
export interface LentClient {
  readonly client: pg.ClientBase
  /** Whether the transaction was already aborted when its first query failed. */
  readonly foundAborted: boolean
  revoke(): void
}

/**
 * Lends a client to a handler. After `revoke` it refuses queries, so that code that continues can't write into another
 * transaction.
 */
export function lendClient(client: pg.ClientBase, borrower?: unknown): LentClient {
  let ended = false
  let foundAborted: boolean | undefined
  const note = (error: unknown) => {
    const isAborted = (error as { code?: unknown } | null)?.code === SQLSTATE.transactionAborted
    foundAborted ??= isAborted
    // In an aborted transaction all later queries fail as well, but they are not the cause.
    if (!isAborted) failedQueries.set(client, { error, borrower })
  }
  const query = (...args: unknown[]) => {
    if (ended) throw new Error('the handler has ended, and its transaction with it')
    const answer = (client.query as (...args: unknown[]) => unknown).apply(client, args.map(noting(note)))
    ;(answer as Promise<unknown> | undefined)?.then?.(undefined, note)
    return answer
  }
  return {
    client: Object.assign(Object.create(client), { query, release: undefined }),
    get foundAborted() {
      return foundAborted === true
    },
    revoke: () => {
      ended = true
    },
  }
}

/** Watches the result of a query, which is a promise, a callback argument, or the callback of a query object. */
function noting(note: (error: unknown) => void): (argument: unknown) => unknown {
  const noted = (callback: (...args: unknown[]) => unknown) =>
    function (this: unknown, error: unknown, ...rest: unknown[]) {
      if (error) note(error)
      return callback.call(this, error, ...rest)
    }
  return (argument) => {
    if (typeof argument === 'function') return noted(argument as () => unknown)
    const query = argument as { submit?: unknown; callback?: unknown } | null
    if (typeof query?.submit === 'function' && typeof query.callback === 'function')
      query.callback = noted(query.callback as () => unknown)
    return argument
  }
}
