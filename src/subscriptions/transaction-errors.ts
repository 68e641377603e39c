import type pg from 'pg'
import { explain, MeowError } from '../core/errors.ts'
import { lostStatement } from '../database/ask.ts'
import { isLost, isOfServer, isReadOnly } from '../database/failures.ts'
import { failedQuery } from '../database/lend.ts'
import type { HandedOut } from './delivery.ts'

/** A handler threw `cause`, or left a transaction that can't be committed; `delivery` is undefined if it may be any of several. */
export class HandlerFailed extends MeowError {
  readonly delivery: HandedOut | undefined
  /** It need not be the handler's fault: the session ended, or the server could not commit. */
  isUncertain = false

  constructor(cause: unknown, delivery?: HandedOut) {
    super('ERR_HANDLER', 'a handler failed')
    this.cause = cause // as it is: it is handed on, not printed
    this.delivery = delivery
  }
}

/** No answer to a commit came: only the database knows whether it was done. */
export class CommitUnknown extends MeowError {
  constructor(cause: unknown) {
    super('ERR_COMMIT', 'no answer to a commit came', cause)
  }
}

/** The checkpoint was refused: another owns the partition. */
export class CheckpointRefused extends MeowError {
  constructor() {
    super('ERR_FENCED', 'a checkpoint was refused')
  }
}

/** What was deferred until the commit does not hold; or the server can't commit just now. */
export function commitFailed(cause: unknown): HandlerFailed {
  const failed = new HandlerFailed(cause)
  failed.isUncertain = isOfServer(cause)
  return failed
}

/** The transaction was aborted by an earlier query, of which its handler has not said that it failed. */
export function earlierFailure(client: pg.ClientBase, error: unknown): HandlerFailed {
  const failed = failedQuery(client)
  if (!failed) return new HandlerFailed(error)
  const why = `a query of the handler failed, which the handler kept to itself: ${explain(failed.error)}`
  return new HandlerFailed(new MeowError('ERR_HANDLER', why, failed.error), failed.borrower as HandedOut)
}

/** What the handler left does not hold: a query that failed and it did not say so, a constraint that was deferred. */
export function throwHandlerFailed(client: pg.ClientBase, error: unknown): never {
  throw (error as { code?: string }).code === '25P02'
    ? earlierFailure(client, error)
    : new HandlerFailed(error)
}

/** Handlers left the session so that the checkpoint can't be written; what is the server's own passes as it is. */
export function throwUnwritable(client: pg.ClientBase, error: unknown): never {
  const isServers = isOfServer(error) && !isReadOnly(error) // a handler may have made its transaction read-only
  if (isServers || lostStatement(client, error) !== undefined) throw error
  throwHandlerFailed(client, error)
}

/** The session ended while a handler had it: it may have been idle for longer than the lease. */
export function throwIfSessionEnded(error: unknown): never {
  throw isLost(error) ? new HandlerFailed(error) : error
}
