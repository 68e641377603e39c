import type { Filter } from './filter.ts'
import type { Heard, Preview } from './show.ts'

/** Events of one message at most; there are four messages a second, and events come in bursts. */
const MOST = 25
/** Those of the first one: what was before the page came, and since. */
const MOST_FIRST = 150

/** What one page sees of the tail: of what passes its filter the newest, and how many were left out. */
export class Sample {
  readonly #passes: Filter
  #kept: Heard[] = []
  #missed = 0
  #most = MOST_FIRST

  constructor(passes: Filter) {
    this.#passes = passes
  }

  offer(event: Heard): void {
    if (!this.#passes(event)) return
    this.#kept.push(event)
    if (this.#kept.length <= this.#most) return
    this.#kept.shift()
    this.#missed++
  }

  /** Events that nobody here has read. */
  miss(count: number): void {
    this.#missed += count
  }

  /** What came since the last time, or null. */
  take(): { events: Preview[]; missed: number } | null {
    const [events, missed] = [this.#kept, this.#missed]
    if (events.length === 0 && missed === 0) return null
    this.#kept = []
    this.#missed = 0
    this.#most = MOST
    return { events: events.map(({ id, ...preview }) => preview), missed }
  }
}
