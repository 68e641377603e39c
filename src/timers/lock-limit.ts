// How long a timer waits for locks of others: all other timers of the process wait with it.
import type pg from 'pg'
import { causeOfProjection } from '../append/projections.ts'
import { ownTransaction } from '../append/transaction.ts'
import type { Database } from '../database/database.ts'
import { hasState } from '../database/failures.ts'
import { SQLSTATE } from '../database/sqlstate.ts'

const TOGETHER_MS = 200
const ALONE_MS = 50

/** A transaction that fires timers. It fails (`isLocked`) if it has to wait for a lock. */
export function firing<T>(
  db: Database,
  body: (client: pg.ClientBase) => Promise<T>,
  isAlone = false,
): Promise<T> {
  const limit = `set local lock_timeout = ${isAlone ? ALONE_MS : TOGETHER_MS}`
  return ownTransaction(db, body, undefined, [limit])
}

/** Whether another session holds a lock that was needed. Perhaps an inline projection needed it. */
export const isLocked = (error: unknown): boolean =>
  hasState(error, SQLSTATE.lockTimeout) || hasState(causeOfProjection(error), SQLSTATE.lockTimeout)
