import type { Clock } from '../core/clock.ts'

/** A moment by both clocks of this process. It is never compared with the clocks of another machine. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export const now = (clock: Clock): Instant => ({ monotonic: clock.now(), wall: clock.wall() })

/**
 * Milliseconds since an instant: the larger result of the two clocks. The monotonic clock stops while a laptop sleeps, and
 * the wall clock can be set back. A result that is too large is safe (a lease is renewed early), one that is too small is not.
 */
export const elapsed = (clock: Clock, since: Instant): number =>
  Math.max(clock.now() - since.monotonic, clock.wall() - since.wall)
