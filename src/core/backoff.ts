import type { Clock } from './clock.ts'

/**
 * The pause in ms before attempt n (1, 2, …) of something that failed: 50 ms, doubled each time up to `maxMs`, with equal
 * jitter. `maxMs` is 1 s by default, so that work continues within 2 s after a server is back.
 */
export function backoff(attempt: number, clock: Clock, maxMs = 1_000): number {
  const ceiling = Math.min(maxMs, 25 * 2 ** attempt)
  return ceiling / 2 + (clock.random() * ceiling) / 2
}
