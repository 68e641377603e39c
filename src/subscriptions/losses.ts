import { pauseAfter } from '../core/backoff.ts'
import type { RetryReporting } from '../database/retry-reporter.ts'
import { RetryReporter } from '../database/retry-reporter.ts'

/** The first pause before a partition that was lost by an error is claimed again, in ms. Each further one is twice as long. */
export const LOST_MS = 250
/** The longest of these pauses. */
const MAX_LOST_MS = 4_000
/** A partition that is not lost again for this time (in ms) counts as recovered, even if it makes no progress. */
const RECOVERED_MS = 10_000

interface Loss {
  readonly trouble: RetryReporter
  lostAt: number
  forget: () => void
}

/** Counts, for each partition, how often an executor lost it because of errors of the database. */
export class Losses {
  readonly #teller: RetryReporting
  readonly #losses = new Map<number, Loss>()

  constructor(teller: RetryReporting) {
    this.#teller = teller
  }

  /** A partition was lost. Returns the pause before it is claimed again, in ms. */
  lost(number: number, cause: unknown): number {
    const { clock } = this.#teller
    const loss = this.#losses.get(number) ?? {
      trouble: new RetryReporter(this.#teller),
      lostAt: -Infinity,
      forget: () => {},
    }
    this.#losses.set(number, loss)
    const { trouble } = loss
    if (clock.now() - loss.lostAt >= RECOVERED_MS) trouble.end()
    loss.lostAt = clock.now()
    trouble.report(cause)
    if (trouble.attempt === 1) return LOST_MS
    loss.forget()
    loss.forget = clock.after(RECOVERED_MS, () => trouble.end())
    return pauseAfter(trouble.attempt, { firstMs: LOST_MS, maxMs: MAX_LOST_MS })
  }

  /** A partition makes progress. */
  over(number: number): void {
    const loss = this.#losses.get(number)
    loss?.forget()
    loss?.trouble.succeeded()
    this.#losses.delete(number)
  }

  end(): void {
    for (const { trouble, forget } of this.#losses.values()) {
      forget()
      trouble.end()
    }
    this.#losses.clear()
  }
}
