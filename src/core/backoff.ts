import type { Clock } from './clock.ts'

/**
 * Pause before try n (1, 2, …) of something that failed: 50 ms doubling to `maxMs`, with equal jitter. By default not longer than
 * 1 s, so that all goes on within 2 s after a server is back.
 */
export function backoff(attempt: number, clock: Clock, maxMs = 1_000): number {
  const ceiling = Math.min(maxMs, 25 * 2 ** attempt)
  return ceiling / 2 + (clock.random() * ceiling) / 2
}
