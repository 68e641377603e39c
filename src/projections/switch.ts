import { backoff } from '../core/backoff.ts'
import { TimeoutError } from '../core/errors.ts'
import type { Queries } from '../database/database.ts'
import { hasState } from '../database/failures.ts'
import { retryDeadlocks } from '../database/retry-deadlocks.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import { statements } from '../database/statements.ts'
import { projectionError } from './errors.ts'

/** A version of a projection, or one generation of it. */
export interface Target {
  readonly name: string
  readonly version: number
  readonly generation: number | null
}

/** How long a switch waits for the next version to reach the live one, in ms. Writers of the live version wait as long. */
const WITHIN_MS = 200

/** What sql/functions/switch_projection.sql returns. */
export type Outcome = 'live' | 'ready' | 'parked' | 'building'

/** One attempt to switch; `busy`: a lock was not free in time. */
export async function trySwitch(
  db: Queries,
  target: Target,
  how: 'complete' | 'auto' | 'asked',
): Promise<Outcome | 'busy'> {
  try {
    const call = () => db.query(statements.switchProjection, { ...target, how, withinMs: WITHIN_MS })
    const [row] = await retryDeadlocks(call)
    return row![0] as Outcome
  } catch (error) {
    if (hasState(error, SQLSTATE.lockTimeout)) return 'busy'
    throw projectionError(target.name, error)
  }
}

/** Repeats an action until it is done. Each attempt waits for locks only briefly, so that it delays no one else. */
export async function untilDone<T>(
  db: Queries,
  { what, timeoutMs, signal }: { what: string; timeoutMs: number; signal: AbortSignal },
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  const end = db.clock.now() + timeoutMs
  for (let n = 1; ; n++) {
    signal.throwIfAborted()
    const result = await attempt()
    if (result !== undefined) return result
    if (db.clock.now() >= end) throw new TimeoutError(what, timeoutMs)
    await db.clock.sleep(backoff(n, db.clock, { firstMs: 10, maxMs: 500 }), signal)
  }
}

/** Runs a statement that fails if a lock is not free in time; undefined then. */
export async function unlessLocked<T>(name: string, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await retryDeadlocks(run)
  } catch (error) {
    if (hasState(error, SQLSTATE.lockTimeout)) return undefined
    throw projectionError(name, error)
  }
}
