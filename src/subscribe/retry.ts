import type { Clock } from '../clock.ts'

/** How often and how soon a handler that fails is tried again. */
export interface RetryOptions {
  /** Times that an event is handled at most. Default 5, minimum 1. */
  maxAttempts?: number
  /** Ceiling of the first pause, which doubles with each. In ms; default 100, minimum 0. */
  minDelayMs?: number
  /** Ceiling of any pause. In ms; default 30_000, minimum `minDelayMs`. */
  maxDelayMs?: number
}

/**
 * Pause after attempt n (1, 2, …) that failed: exponential with full jitter, so that what failed together does not come
 * again together (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
export function retryPause(
  attempt: number,
  { minDelayMs, maxDelayMs }: Readonly<Required<RetryOptions>>,
  clock: Clock,
): number {
  return clock.random() * Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt - 1, 31))
}
