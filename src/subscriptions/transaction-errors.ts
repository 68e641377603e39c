import type pg from 'pg'
import { explain, MeowError } from '../core/errors.ts'
import { isLost, isReadOnly, isServerFailure } from '../database/failures.ts'
import { failedQuery } from '../database/lent-client.ts'
import { lostStatement } from '../database/lost-statements.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { InternalDelivery } from './delivery.ts'

/** A handler threw `cause`, or its transaction can't be committed. `delivery` is undefined if several may be the reason. */
export class HandlerFailed extends MeowError {
  readonly delivery: InternalDelivery | undefined
  /** True if it may not be the handler's fault: the session ended, or the server could not commit. */
  isUncertain = false

  constructor(cause: unknown, delivery?: InternalDelivery) {
    super('ERR_HANDLER', 'a handler failed')
    this.cause = cause // unchanged, because it is passed on and not printed
    this.delivery = delivery
  }
}

/** The answer to a commit is lost: only the database knows whether it was committed. */
export class CommitUnknown extends MeowError {
  constructor(cause: unknown) {
    super('ERR_COMMIT', 'the answer to a commit is lost: it may have been committed or not', cause)
  }
}

/** The checkpoint was refused, because another executor owns the partition. */
export class CheckpointRefused extends MeowError {
  constructor() {
    super('ERR_FENCED', 'a checkpoint was refused, because another executor owns the partition')
  }
}

/** A commit failed: a deferred constraint is violated, or the server can't commit just now. */
export function commitFailed(cause: unknown): HandlerFailed {
  const failed = new HandlerFailed(cause)
  failed.isUncertain = isServerFailure(cause)
  return failed
}

/** An earlier query has aborted the transaction, and its handler did not throw. */
export function earlierFailure(client: pg.ClientBase, error: unknown): HandlerFailed {
  const failed = failedQuery(client)
  if (!failed) return new HandlerFailed(error)
  const why = `a query of the handler failed, and the handler did not throw its error: ${explain(failed.error)}`
  return new HandlerFailed(
    new MeowError('ERR_HANDLER', why, failed.error),
    failed.borrower as InternalDelivery,
  )
}

/** The handler's writes can't be committed: one of its queries failed, or a deferred constraint is violated. */
export function throwHandlerFailed(client: pg.ClientBase, error: unknown): never {
  throw (error as { code?: string }).code === SQLSTATE.transactionAborted
    ? earlierFailure(client, error)
    : new HandlerFailed(error)
}

/** The checkpoint can't be written, because of what handlers did to the session. An error of the server itself is thrown unchanged. */
export function throwUnwritable(client: pg.ClientBase, error: unknown): never {
  const isServers = isServerFailure(error) && !isReadOnly(error) // the handler may have made the transaction read-only
  if (isServers || lostStatement(client, error) !== undefined) throw error
  throwHandlerFailed(client, error)
}

/** If the session ended while a handler used it, this counts as a failure of a handler: it may have been idle too long. */
export function throwIfSessionEnded(error: unknown): never {
  throw isLost(error) ? new HandlerFailed(error) : error
}
