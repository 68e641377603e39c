// Logs the outages of a broker.
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'

/** Pause between two warnings about the same outage. */
const REMIND_MS = 30_000

/** Logs when a broker is not reachable, reminds now and then, and logs the end of the outage; it does not log every message. */
export class Outage {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #name: string
  #since: number | undefined
  #warnedAt = 0
  #warnedOf = ''

  constructor(name: string, clock: Clock, logger: Logger) {
    this.#name = name
    this.#clock = clock
    this.#logger = logger
  }

  /** An attempt failed; `to` says of what. Returns for how long (in ms) no attempt has succeeded. */
  failed(error: unknown, to: string): number {
    const now = this.#clock.now()
    this.#since ??= now
    if (to !== this.#warnedOf || now - this.#warnedAt >= REMIND_MS) {
      this.#logger.warn(
        { err: error, relay: this.#name, forMs: Math.round(now - this.#since) },
        `a relay cannot ${to}; it tries again`,
      )
      this.#warnedOf = to
      this.#warnedAt = now
    }
    return now - this.#since
  }

  /** An attempt succeeded. */
  over(): void {
    if (this.#since === undefined) return
    const forMs = Math.round(this.#clock.now() - this.#since)
    this.#logger.info({ relay: this.#name, forMs }, 'a relay publishes again')
    this.#since = undefined
    this.#warnedOf = ''
  }
}
