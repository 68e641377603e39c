import type { RetryReporting } from '../database/retry-reporter.ts'
import { RetryReporter } from '../database/retry-reporter.ts'

/** Pause before a partition is claimed again that was lost by an error: the first one; each further one is twice as long. */
export const LOST_MS = 250
const MAX_LOST_MS = 4_000
/** How long a partition is not lost by an error until that counts as over, if it makes no progress. */
const QUIET_MS = 10_000

interface Loss {
  readonly trouble: RetryReporter
  lostAt: number
  forget: () => void
}

/**
 * By which errors of the database an executor loses partitions, by partition number: that one makes progress says nothing of
 * another.
 */
export class Losses {
  readonly #teller: RetryReporting
  readonly #of = new Map<number, Loss>()

  constructor(teller: RetryReporting) {
    this.#teller = teller
  }

  /** This partition is lost. Returns the pause before it is claimed again in ms: the longer, the more often that happened. */
  lost(number: number, cause: unknown): number {
    const { clock } = this.#teller
    const loss = this.#of.get(number) ?? {
      trouble: new RetryReporter(this.#teller),
      lostAt: -Infinity,
      forget: () => {},
    }
    this.#of.set(number, loss)
    const { trouble } = loss
    if (clock.now() - loss.lostAt >= QUIET_MS) trouble.end()
    loss.lostAt = clock.now()
    trouble.report(cause)
    if (trouble.attempt === 1) return LOST_MS
    loss.forget()
    loss.forget = clock.after(QUIET_MS, () => trouble.end())
    return Math.min(LOST_MS * 2 ** (trouble.attempt - 1), MAX_LOST_MS)
  }

  /** This partition makes progress. */
  over(number: number): void {
    const loss = this.#of.get(number)
    loss?.forget()
    loss?.trouble.succeeded()
    this.#of.delete(number)
  }

  end(): void {
    for (const { trouble, forget } of this.#of.values()) {
      forget()
      trouble.end()
    }
    this.#of.clear()
  }
}
