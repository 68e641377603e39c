import type { Clock } from '../core/clock.ts'
import { DeadlockError } from './errors.ts'
import type { HandlerCall } from './event-context.ts'

/** How long a handler may still run after it has called `stop()` or `close()`: then it is taken to wait for that. */
const PATIENCE_MS = 1_000

/**
 * What was begun from inside of a handler and waits for that handler: if the handler still runs after a while, it is taken to
 * wait for this, and would do so for ever. Only the promise rejects; what was begun goes on.
 *
 * Nobody need look at the promise.
 */
export function rejectOwnHandler(
  what: string,
  ended: Promise<void>,
  call: HandlerCall | undefined,
  clock: Clock,
): Promise<void> {
  if (!call) return ended
  const waiting = new Promise<void>((resolve, reject) => {
    const forget = clock.after(PATIENCE_MS, () => {
      if (call.active) reject(new DeadlockError(what, call.subscription, call.position))
    })
    ended.finally(forget).then(resolve, reject)
  })
  waiting.catch(() => {})
  return waiting
}
