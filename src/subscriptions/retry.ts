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

const GROWTH = 4

/** The pause after failed attempt 1, 2, …, in ms: exponential, with jitter. */
export function retryPause(
  attempt: number,
  { minDelayMs, maxDelayMs }: Pick<RetryPolicy, 'minDelayMs' | 'maxDelayMs'>,
  clock: Clock,
): number {
  return jittered(Math.min(maxDelayMs, minDelayMs * GROWTH ** Math.min(attempt - 1, 16)), clock)
}

/**
 * A random time between half of a pause and all of it, so that events that failed together are not tried together again (the "equal jitter" of
 * Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
export function jittered(ms: number, clock: Clock): number {
  return ms / 2 + (clock.random() * ms) / 2
}
