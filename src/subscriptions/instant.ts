import type { Clock } from '../core/clock.ts'

/** A moment by both clocks of this process. Neither is ever compared with another machine's. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export const now = (clock: Clock): Instant => ({ monotonic: clock.now(), wall: clock.wall() })

/**
 * Milliseconds since then, the more of the two: the monotonic clock stands still while a laptop sleeps, the wall clock
 * can be set back. Too much is safe (a lease is renewed once more), too little is not.
 */
export const elapsed = (clock: Clock, since: Instant): number =>
  Math.max(clock.now() - since.monotonic, clock.wall() - since.wall)
