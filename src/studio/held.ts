// Counts events when they are committed, even if they are not delivered yet.
import type { CategoryInfo } from '../read/reader.ts'

/** Committed events above the horizon, which an open append holds back. */
export interface Held {
  /** Up to this position nothing was held back. */
  readonly horizon: number
  readonly categories: readonly CategoryInfo[]
}

/**
 * Counts each event when it is committed. An event that is held back counts then, and not again when the tail delivers it. So
 * the rate does not fall to 0 while an append is open, and does not jump at its end.
 */
export class CommitCount {
  readonly #count: (category: string, events: number) => void
  readonly #ahead = new Map<string, number>() // by category: events that were counted and not delivered yet
  #begun = false // events that were held back before we started do not count

  constructor(count: (category: string, events: number) => void) {
    this.#count = count
  }

  /** The tail has delivered an event. */
  heard(category: string): void {
    const ahead = this.#ahead.get(category) ?? 0
    if (ahead > 0) this.#ahead.set(category, ahead - 1)
    else this.#count(category, 1)
  }

  /** The events that are held back now. `position` is where the tail is; the events before it were counted. */
  held({ horizon, categories }: Held, position: number): void {
    const isFirst = !this.#begun
    this.#begun = true
    if (position > horizon) return
    const before = new Map(this.#ahead)
    if (position === horizon) this.#ahead.clear() // the events that are held back are all that the tail has not delivered
    for (const { category, events } of categories) {
      const more = events - (before.get(category) ?? 0)
      if (position === horizon) this.#ahead.set(category, events)
      if (more <= 0) continue
      if (!isFirst) this.#count(category, more)
      this.#ahead.set(category, events)
    }
  }

  /** Forgets everything: no page is open, or the tail has skipped events. */
  clear(): void {
    this.#ahead.clear()
    this.#begun = false
  }
}
