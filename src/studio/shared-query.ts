// Limits how often an expensive query is sent.
import { now } from '../core/clock.ts'

/** A query may use at most 1/20 of the time. */
const RARITY = 20
const LONGEST_MS = 300_000

/**
 * A query that may be expensive. All callers share one answer, and the longer it took, the longer it is kept.
 */
export class SharedQuery<T> {
  readonly #read: () => Promise<T>
  readonly #leastMs: number
  #answer: Promise<T> | undefined
  #until = 0

  constructor(read: () => Promise<T>, leastMs: number) {
    this.#read = read
    this.#leastMs = leastMs
  }

  /** Returns the latest answer; rejects if the query failed. */
  get(): Promise<T> {
    if (this.#answer && now() < this.#until) return this.#answer
    this.#until = Number.POSITIVE_INFINITY // until it has settled
    const begun = now()
    this.#answer = this.#read().finally(() => {
      const ended = now()
      this.#until = ended + Math.min(LONGEST_MS, Math.max(this.#leastMs, RARITY * (ended - begun)))
    })
    this.#answer.catch(() => {})
    return this.#answer
  }

  /** Makes the next call ask again, because something was changed. */
  invalidate(): void {
    this.#until = 0
  }
}
