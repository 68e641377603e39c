import { z } from 'zod'
import { sharedController } from './abort.ts'
import type { Clock } from './clock.ts'
import { ms } from './fields.ts'

/** How long to wait for what is under way. */
export interface StopOptions {
  /** In ms, minimum 0: give up at once. */
  timeoutMs?: number | undefined
}

/** Without a limit: as long as it takes. */
export const stopOptionsSchema = z.strictObject({ timeoutMs: ms(0).optional() })
export const closeOptionsSchema = z.strictObject({ timeoutMs: ms(0).default(30_000) })

/** How long the database may take for what is said to it once the time is up. */
const GRACE_MS = 5_000

/**
 * The time that an end may take:
 *
 *     waiting -> up: give up what is under way, and tell the database -> over: wait for nothing at all
 */
export class TimeLimit {
  readonly #clock: Clock
  readonly #up = sharedController()
  readonly #over = sharedController()
  #due = Infinity
  #forget = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get up(): AbortSignal {
    return this.#up.signal
  }

  get over(): AbortSignal {
    return this.#over.signal
  }

  /** So many ms from now on at most; what was said before counts if that is sooner. */
  set(ms: number): void {
    const due = this.#clock.now() + ms
    if (due >= this.#due) return
    this.#due = due
    this.#forget()
    if (ms === 0) this.#end()
    else this.#forget = this.#clock.after(ms, () => this.#end())
  }

  /** It has ended: there is nothing to limit any more. */
  clear(): void {
    this.#due = -Infinity
    this.#forget()
  }

  #end(): void {
    this.#forget = this.#clock.after(GRACE_MS, () => this.#over.abort())
    this.#up.abort()
  }
}
