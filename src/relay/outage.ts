import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'

/** Pause between two warnings of one outage. */
const REMIND_MS = 30_000

/** Tells the log when a broker takes nothing, now and then while that lasts, and when it is over; not once a message. */
export class Outage {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #name: string
  #since: number | undefined
  #saidAt = 0
  #said = ''

  constructor(name: string, clock: Clock, logger: Logger) {
    this.#name = name
    this.#clock = clock
    this.#logger = logger
  }

  /** What it was `to` do failed. Returns for how long nothing has succeeded, in ms. */
  failed(error: unknown, to: string): number {
    const now = this.#clock.now()
    this.#since ??= now
    if (to !== this.#said || now - this.#saidAt >= REMIND_MS) {
      this.#logger.warn(
        { err: error, relay: this.#name, forMs: Math.round(now - this.#since) },
        `a relay can not ${to}; trying again`,
      )
      this.#said = to
      this.#saidAt = now
    }
    return now - this.#since
  }

  /** Something succeeded. */
  over(): void {
    if (this.#since === undefined) return
    const forMs = Math.round(this.#clock.now() - this.#since)
    this.#logger.info({ relay: this.#name, forMs }, 'a relay publishes again')
    this.#since = undefined
    this.#said = ''
  }
}
