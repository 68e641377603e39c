import type pg from 'pg'
import { explain, MeowError, TimeoutError, ValidationError } from '../core/errors.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { runCommands } from '../database/command.ts'
import type { Database } from '../database/database.ts'
import { isLost } from '../database/failures.ts'
import { failedQuery, forgetFailedQuery } from '../database/lent-client.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { Progress } from './batch.ts'
import { causeOfProjection } from './projections.ts'

/** If this savepoint still exists at the end, the handler has left the transaction open and fit to commit. */
const SAVEPOINT = 'savepoint meowmx_append'
const RELEASE = 'release savepoint meowmx_append'
const UNDO = 'rollback to savepoint meowmx_append'

/**
 * Run `body` in a transaction of its own: what it writes is committed, or undone if anything throws. `settings` are sent with its
 * begin, in the same round trip.
 */
export function ownTransaction<T>(
  db: Database,
  body: (client: pg.ClientBase) => Promise<T>,
  progress: Progress = { sent: false },
  settings: readonly string[] = [],
): Promise<T> {
  return db.withClient(async (client) => {
    const ask = queryOn(db, client)
    const rollback = () =>
      ask('rollback').catch((lost) => {
        db.discard(client) // no other borrower may get the open transaction
        throw lost
      })
    const run = async () => {
      progress.begun = true
      // A process that freezes here must not keep the transaction open: readers would wait for it.
      const limit = `set local idle_in_transaction_session_timeout = ${db.settings.queryTimeoutMs}`
      forgetFailedQuery(client)
      await ask('begin', limit, ...settings, SAVEPOINT)
      let result: T
      try {
        result = await body(client)
      } catch (error) {
        if (isLate(db, error)) db.discard(client)
        else await rollback()
        throw error
      }
      progress.sent = true
      await ask(RELEASE, 'commit').catch(async (error) => {
        if (isLost(error)) db.discard(client)
        else await rollback().catch(() => {}) // it may still be open, or aborted
        throw transactionProblem(client, error)
      })
      return result
    }
    return run().catch((error) => {
      throw db.translate(error)
    })
  })
}

/** Run `body` inside a caller's transaction, which stays usable: if anything throws, only what `body` wrote is undone. */
export async function insideTransaction<T>(
  db: Database,
  client: SqlClient,
  body: () => Promise<T>,
): Promise<T> {
  const ask = queryOn(db, client)
  forgetFailedQuery(client)
  await ask(SAVEPOINT).catch((error) => {
    if (error.code === SQLSTATE.noTransaction)
      throw new ValidationError('options.client', 'must have an open transaction', 'one without')
    throw db.translate(error, client)
  })
  try {
    const result = await body()
    await ask(RELEASE).catch((error) => {
      throw transactionProblem(client, error)
    })
    return result
  } catch (error) {
    await ask(UNDO, RELEASE).catch(() => {}) // the connection is gone, or the transaction
    throw db.translate(error, client)
  }
}

const queryOn =
  (db: Database, client: SqlClient) =>
  (...commands: string[]): Promise<void> =>
    runCommands(client, commands, db.settings.queryTimeoutMs)

/** Whether a query may still be running. A rollback would wait for it. */
function isLate(db: Database, error: unknown): boolean {
  const failed = causeOfProjection(error) ?? {}
  return failed instanceof TimeoutError || db.translate(failed) instanceof TimeoutError
}

/** If a handler made it impossible to commit the transaction, an error that says how; otherwise the error itself. */
function transactionProblem(client: SqlClient, error: unknown): unknown {
  const { code } = error as { code?: string }
  if (code === SQLSTATE.transactionAborted) {
    const cause = failedQuery(client)?.error ?? error
    return projection(
      `a query of an inline projection failed, which its handler has kept to itself: ${explain(cause)}`,
      cause,
    )
  }
  if (code === SQLSTATE.noTransaction || code === SQLSTATE.noSavepoint)
    return projection('the handler of an inline projection has ended the transaction of its append', error)
  return error
}

const projection = (message: string, cause: unknown) => new MeowError('ERR_PROJECTION', message, cause)
