// Counts the events of categories step by step.
import type { Meow } from '../meow.ts'
import type { CategoryInfo } from '../read/reader.ts'
import { addCounts } from '../read/reader.ts'

/** Streams and events of each category up to a horizon. Everything is counted once; afterwards only what is new. */
export class CategoryCounts {
  readonly #meow: Pick<Meow, 'categories'>
  readonly #horizon: () => Promise<number>
  #found = new Map<string, CategoryInfo>()
  #until = 0

  constructor(meow: Pick<Meow, 'categories'>, horizon: () => Promise<number>) {
    this.#meow = meow
    this.#horizon = horizon
  }

  /** Do not call it again before it has settled. */
  async read(): Promise<CategoryInfo[]> {
    const horizon = await this.#horizon()
    // A standby took over that is missing events.
    if (horizon < this.#until) this.#found = new Map()
    const after = horizon < this.#until ? 0 : this.#until
    const more = after < horizon ? await this.#meow.categories({ after, until: horizon }) : []
    for (const info of more) addCounts(this.#found, info)
    this.#until = horizon
    return [...this.#found.values()]
  }
}
