import type pg from 'pg'
import { ValidationError } from '../core/errors.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { isPgClient } from './failures.ts'
import { SQLSTATE } from './sqlstate.ts'

/** A query that failed in a transaction, and the borrower for which it ran. */
export interface FailedQuery {
  readonly error: unknown
  readonly borrower: unknown
}

/** The last failed query of each client. */
const failedQueries = new WeakMap<SqlClient, FailedQuery>()

/** The query that aborted the client's transaction, if a handler ran it. */
export const failedQuery = (client: SqlClient): FailedQuery | undefined => failedQueries.get(client)

/** Called when a transaction begins: earlier failures do not belong to it. */
export const forgetFailedQuery = (client: SqlClient): void => void failedQueries.delete(client)

/** A client that a handler may use until it is revoked. */
export interface LentClient {
  readonly client: pg.ClientBase
  /** Whether the transaction was already aborted when its first query failed. */
  readonly foundAborted: boolean
  revoke(): void
}

/**
 * Lends a client to a handler. After `revoke` it refuses queries, so that code that continues can't write into another
 * transaction. A client of another library has only `query`, with a text and values.
 */
export function lendClient(client: SqlClient, borrower?: unknown): LentClient {
  let ended = false
  let foundAborted: boolean | undefined
  const note = (error: unknown) => {
    const isAborted = (error as { code?: unknown } | null)?.code === SQLSTATE.transactionAborted
    foundAborted ??= isAborted
    // In an aborted transaction all later queries fail as well, but they are not the cause.
    if (!isAborted) failedQueries.set(client, { error, borrower })
  }
  const send = isPgClient(client)
    ? (...args: unknown[]) =>
        (client.query as (...args: unknown[]) => unknown).apply(client, args.map(noting(note)))
    : async (...args: unknown[]) => client.query(...textAndValues(args))
  const query = (...args: unknown[]) => {
    if (ended) throw new Error('the handler has ended, and its transaction with it')
    const answer = send(...args)
    ;(answer as Promise<unknown> | undefined)?.then?.(undefined, note)
    return answer
  }
  const lent = isPgClient(client) ? Object.create(client) : withoutOthers()
  return {
    client: Object.assign(lent, { query, release: undefined }),
    get foundAborted() {
      return foundAborted === true
    },
    revoke: () => {
      ended = true
    },
  }
}

/** The methods of pg's clients that handlers may know, besides `query`. */
const OF_PG = ['escapeIdentifier', 'escapeLiteral', 'getTypeParser', 'setTypeParser', 'on', 'once', 'off']

/** An object on which each method of pg's clients says that it is not there. */
const withoutOthers = (): object =>
  Object.fromEntries(
    OF_PG.map((method) => [
      method,
      () => {
        throw onlyOfPg(`${method}()`)
      },
    ]),
  )

/** The text and values of `query(text, values)` or `query({ text, values })`, which is all that other libraries know. */
function textAndValues([first, second, ...rest]: unknown[]): [text: string, values: unknown[]] {
  const { text, values, ...others } = typeof first === 'string' ? { text: first } : Object(first)
  const given = second ?? values ?? []
  const strangers = Object.keys(others)
  if (strangers.length > 0) throw onlyOfPg(`query({ ${strangers.join(', ')} })`)
  if (typeof text !== 'string' || !Array.isArray(given) || rest.length > 0)
    throw onlyOfPg('query() with other arguments than (text, values)')
  return [text, given]
}

const onlyOfPg = (what: string) =>
  new ValidationError(
    'options.client',
    `must be a client of pg if an inline projection calls ${what}: the transaction of this append is one of another library, so its handlers have query(text, values) and nothing else`,
    'a client of another library',
  )

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
