import type { CategoryInfo } from '../read/reader.ts'

/** Events that are committed beyond the horizon, where an open append holds them back. */
export interface Held {
  /** Up to here nothing was held back. */
  readonly horizon: number
  readonly categories: readonly CategoryInfo[]
}

/**
 * Counts each event when it is committed: one that is held back then, and not when the tail hears of it at last. So a rate does
 * not fall to 0 while an append is open, and does not rise at its end.
 */
export class CommitCount {
  readonly #count: (category: string, events: number) => void
  readonly #ahead = new Map<string, number>() // by category: counted, and not heard of yet
  #begun = false // what was held back before is not of now

  constructor(count: (category: string, events: number) => void) {
    this.#count = count
  }

  /** The tail has come to an event. */
  heard(category: string): void {
    const ahead = this.#ahead.get(category) ?? 0
    if (ahead > 0) this.#ahead.set(category, ahead - 1)
    else this.#count(category, 1)
  }

  /** What is held back now. `position`: up to where the tail has come; what it has passed was counted. */
  held({ horizon, categories }: Held, position: number): void {
    const isFirst = !this.#begun
    this.#begun = true
    if (position > horizon) return
    const before = new Map(this.#ahead)
    if (position === horizon) this.#ahead.clear() // then what is held back is all that the tail has still to hear of
    for (const { category, events } of categories) {
      const more = events - (before.get(category) ?? 0)
      if (position === horizon) this.#ahead.set(category, events)
      if (more <= 0) continue
      if (!isFirst) this.#count(category, more)
      this.#ahead.set(category, events)
    }
  }

  /** Nobody looks any more, or what was held back was passed over. */
  clear(): void {
    this.#ahead.clear()
    this.#begun = false
  }
}
