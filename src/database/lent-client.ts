import type pg from 'pg'

/** A query that failed in a transaction which was usable until then, and for whom it was run. */
export interface FailedQuery {
  readonly error: unknown
  readonly borrower: unknown
}

/** The last one of each client. */
const failedQueries = new WeakMap<pg.ClientBase, FailedQuery>()

/** Why the transaction of a client is aborted, if a query of a handler did that. */
export const failedQuery = (client: pg.ClientBase): FailedQuery | undefined => failedQueries.get(client)

/** A transaction begins: what failed before has nothing to do with it. */
export const forgetFailedQuery = (client: pg.ClientBase): void => void failedQueries.delete(client)

/** A client that is lent. */
export interface LentClient {
  readonly client: pg.ClientBase
  /** Its first query that failed did so because the transaction was aborted before. */
  readonly foundAborted: boolean
  revoke(): void
}

/** The client for as long as a handler runs: one that goes on afterwards must not write into another's transaction. */
export function lendClient(client: pg.ClientBase, borrower?: unknown): LentClient {
  let ended = false
  let foundAborted: boolean | undefined
  const note = (error: unknown) => {
    const isAborted = (error as { code?: unknown } | null)?.code === '25P02'
    foundAborted ??= isAborted
    // What follows in an aborted transaction fails, too: it is not what went wrong.
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

/** A query is answered by a promise, or by a callback: an argument, or one that the query brings along. */
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
