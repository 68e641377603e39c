// Chooses the events of the tail that one page gets.
import type { Filter } from './filter.ts'
import type { Preview, TailEvent } from './show.ts'

/** The largest number of events in a message. There are four messages a second. */
const MOST = 25
/** The largest number in the first message, which has older events too. */
const MOST_FIRST = 150

/** The newest events that pass a page's filter, and the number of events that were left out. */
export class Sample {
  readonly #passes: Filter
  #kept: TailEvent[] = []
  #missed = 0
  #most = MOST_FIRST

  constructor(passes: Filter) {
    this.#passes = passes
  }

  offer(event: TailEvent): void {
    if (!this.#passes(event)) return
    this.#kept.push(event)
    if (this.#kept.length <= this.#most) return
    this.#kept.shift()
    this.#missed++
  }

  /** Adds events that were not read at all. */
  miss(count: number): void {
    this.#missed += count
  }

  /** What is new since the last call; null if nothing is. */
  take(): { events: Preview[]; missed: number } | null {
    const [events, missed] = [this.#kept, this.#missed]
    if (events.length === 0 && missed === 0) return null
    this.#kept = []
    this.#missed = 0
    this.#most = MOST
    return { events: events.map(({ id, ...preview }) => preview), missed }
  }
}
