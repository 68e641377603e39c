import type { Clock } from '../core/clock.ts'

/**
 * How often and how soon a handler that fails is tried again. The defaults last for one to three minutes.
 */
export interface RetryOptions {
  /**
   * How often an event's handler is called at most, before its stream is parked or the worker stops. Each call counts: with
   * `transactional` also one that was rolled back because another event of its batch failed. Failures during an outage do not
   * count. A crash, a lost lease and `replayParked` begin anew. Default 10, minimum 1.
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

/** Pause after attempt n (1, 2, …) that failed: exponential, with jitter. */
export function retryPause(
  attempt: number,
  { minDelayMs, maxDelayMs }: Pick<RetryPolicy, 'minDelayMs' | 'maxDelayMs'>,
  clock: Clock,
): number {
  return jittered(Math.min(maxDelayMs, minDelayMs * GROWTH ** Math.min(attempt - 1, 16)), clock)
}

/**
 * Between half of a pause and all of it, so that what failed together is not tried together again (the "equal jitter" of
 * Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
export function jittered(ms: number, clock: Clock): number {
  return ms / 2 + (clock.random() * ms) / 2
}
