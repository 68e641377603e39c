import { now } from '../core/clock.ts'

/** The share of the time that one question may keep the database busy: 1 in 20. */
const RARITY = 20
const LONGEST_MS = 300_000

/**
 * A question to the store that may be costly, asked for all at once and remembered: the longer the answer took, the longer
 * it stands. Who asks meanwhile gets what is remembered.
 */
export class Gentle<T> {
  readonly #read: () => Promise<T>
  readonly #leastMs: number
  #answer: Promise<T> | undefined
  #until = 0

  constructor(read: () => Promise<T>, leastMs: number) {
    this.#read = read
    this.#leastMs = leastMs
  }

  /** The latest answer; rejects where that was an error. */
  get(): Promise<T> {
    if (this.#answer && now() < this.#until) return this.#answer
    this.#until = Number.POSITIVE_INFINITY // while it is under way
    const begun = now()
    this.#answer = this.#read().finally(() => {
      const ended = now()
      this.#until = ended + Math.min(LONGEST_MS, Math.max(this.#leastMs, RARITY * (ended - begun)))
    })
    this.#answer.catch(() => {})
    return this.#answer
  }

  /** Ask anew the next time: something was changed. */
  forget(): void {
    this.#until = 0
  }
}
