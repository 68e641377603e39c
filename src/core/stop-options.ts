import { z } from 'zod'
import { sharedController } from './abort.ts'
import type { Clock } from './clock.ts'
import { ms } from './fields.ts'

/** How long a stop waits for work in progress. */
export interface StopOptions {
  /** In ms, minimum 0: give up at once. */
  timeoutMs?: number | undefined
}

/** Without a limit, a stop takes as long as the work in progress. */
export const stopOptionsSchema = z.strictObject({ timeoutMs: ms(0).optional() })
export const closeOptionsSchema = z.strictObject({ timeoutMs: ms(0).default(30_000) })

/** How long the final queries may take after the time limit. In ms. */
const GRACE_MS = 5_000

/**
 * The time limit of a stop:
 *
 *     waiting -> up: give up the work in progress, and tell the database -> over: wait for nothing
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

  /** Sets the limit to this many ms from now. An earlier limit stays if it ends sooner. */
  set(ms: number): void {
    const due = this.#clock.now() + ms
    if (due >= this.#due) return
    this.#due = due
    this.#forget()
    if (ms === 0) this.#end()
    else this.#forget = this.#clock.after(ms, () => this.#end())
  }

  /** The stop is done, so there is nothing to limit. */
  clear(): void {
    this.#due = -Infinity
    this.#forget()
  }

  #end(): void {
    this.#forget = this.#clock.after(GRACE_MS, () => this.#over.abort())
    this.#up.abort()
  }
}
