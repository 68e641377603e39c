import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'

/** How often and how soon a failed handler is tried again. With the defaults all attempts take one to three minutes. */
export interface RetryOptions {
  /**
   * How often an event's handler is called at most, before its stream is parked or the worker stops. Each call counts, with
   * `transactional` also a call that was rolled back because another event of its batch failed. Failures during an outage do
   * not count. After a crash, a lost lease or `replayParked`, counting begins at 1 again. Default 10, minimum 1.
   */
  maxAttempts?: number | undefined
  /** The longest first pause; each further one is four times as long. In ms; default 100, minimum 0. */
  minDelayMs?: number | undefined
  /** The longest pause. In ms; default 30_000, minimum `minDelayMs`. */
  maxDelayMs?: number | undefined
}

/** The options, complete. */
export type RetryPolicy = { readonly [Option in keyof RetryOptions]-?: number }

/** The pause after failed attempt 1, 2, …, in ms: exponential, with jitter. */
export function retryPause(
  attempt: number,
  { minDelayMs, maxDelayMs }: Pick<RetryPolicy, 'minDelayMs' | 'maxDelayMs'>,
  clock: Clock,
): number {
  return backoff(attempt, clock, { firstMs: minDelayMs, maxMs: maxDelayMs, factor: 4 })
}
