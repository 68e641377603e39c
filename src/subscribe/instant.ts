import { performance } from 'node:perf_hooks'

/** A moment by both clocks of this process. Neither is ever compared with another machine's. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export const now = (): Instant => ({ monotonic: performance.now(), wall: Date.now() })

/**
 * Milliseconds since then, the more of the two: the monotonic clock stands still while a laptop sleeps, the wall clock
 * can be set back. Too much is safe (a lease is renewed once more), too little is not.
 */
export const elapsed = (since: Instant): number =>
  Math.max(performance.now() - since.monotonic, Date.now() - since.wall)
