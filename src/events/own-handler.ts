import type { Clock } from '../core/clock.ts'
import { DeadlockError } from './errors.ts'
import type { HandlerCall } from './event-context.ts'

/**
 * How long a handler may still run after it has called `stop()` or `close()`. If it takes longer, it probably awaits that call.
 * In ms.
 */
const HANDLER_MS = 1_000

/**
 * Rejects if a handler awaits a stop that waits for the same handler: without this, both would wait forever. If the handler
 * still runs after a while, it is assumed to await. Only the promise rejects; the stop continues.
 *
 * The promise may be ignored.
 */
export function rejectOwnHandler(
  what: string,
  ended: Promise<void>,
  call: HandlerCall | undefined,
  clock: Clock,
): Promise<void> {
  if (!call) return ended
  const waiting = new Promise<void>((resolve, reject) => {
    const forget = clock.after(HANDLER_MS, () => {
      if (call.active) reject(new DeadlockError(what, call.subscription, call.position))
    })
    ended.finally(forget).then(resolve, reject)
  })
  waiting.catch(() => {})
  return waiting
}
