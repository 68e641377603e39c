// Keeps the counts of categories current between two counts by the store.
import type { RecordedEvent } from '../events/event.ts'
import type { CategoryInfo } from '../read/reader.ts'

/** How many categories a page gets at most. */
const SHOWN = 500
/** How many events are remembered, to add those that arrived while the store counted. */
const REMEMBERED = 16_384

type Seen = Pick<RecordedEvent, 'category' | 'version' | 'position'>

export interface CategoryRow extends CategoryInfo {
  /** Events a second. */
  rate: number
}

/** Counts of categories between two expensive counts: the last count, plus the events that were seen since. */
export class Counts {
  #counted = new Map<string, CategoryInfo>()
  readonly #recent: Seen[] = []
  #next = 0

  /** The highest position of all categories. */
  get lastPosition(): number {
    let last = 0
    for (const { lastPosition } of this.#counted.values()) last = Math.max(last, lastPosition)
    return last
  }

  /** Adds an event. */
  add({ category, version, position }: Seen): void {
    const seen = { category, version, position }
    this.#recent[this.#next] = seen
    this.#next = (this.#next + 1) % REMEMBERED
    this.#count(seen)
  }

  /** Replaces the counts by those of the store. */
  replace(counted: readonly CategoryInfo[]): void {
    this.#counted = new Map(counted.map((info) => [info.category, { ...info }]))
    const inOrder = [...this.#recent.slice(this.#next), ...this.#recent.slice(0, this.#next)]
    for (const seen of inOrder) this.#count(seen)
  }

  /** The categories with the most events, and the number of all categories. */
  list(rates: ReadonlyMap<string, number>): { categories: CategoryRow[]; all: number } {
    const all = [...this.#counted.values()].sort((a, b) => b.events - a.events)
    const categories = all.slice(0, SHOWN).map((info) => ({ ...info, rate: rates.get(info.category) ?? 0 }))
    return { categories, all: all.length }
  }

  #count({ category, version, position }: Seen): void {
    let info = this.#counted.get(category)
    if (!info) {
      info = { category, streams: 0, events: 0, lastPosition: 0 }
      this.#counted.set(category, info)
    }
    if (position <= info.lastPosition) return // already counted
    info.events++
    if (version === 0) info.streams++
    info.lastPosition = position
  }
}
