import { abortable, abortWith } from './abort.ts'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'

/**
 * The result of `run`, or that of `late` if `run` takes longer than `ms`; `late` may throw. The result of `run` is then
 * ignored. Rejects as soon as the signal aborts.
 */
export async function withTimeout<T>(
  ms: number,
  run: () => Promise<T>,
  late: () => T,
  { clock = systemClock, signal }: { clock?: Clock; signal?: AbortSignal } = {},
): Promise<T> {
  let isLate = false
  const over = abortWith(signal)
  const forget = clock.after(ms, () => {
    isLate = true
    over.abort()
  })
  try {
    return await abortable(run(), over.signal)
  } catch (error) {
    if (isLate && error === over.signal.reason) return late()
    throw error
  } finally {
    forget()
    over.abort()
  }
}
