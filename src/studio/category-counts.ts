import type { Meow } from '../meow.ts'
import type { CategoryInfo } from '../read/reader.ts'
import { addCounts } from '../read/reader.ts'

/** What categories hold, up to a horizon: all of it is counted once, and from then on only what has come since. */
export class CategoryCounts {
  readonly #meow: Pick<Meow, 'categories'>
  readonly #horizon: () => Promise<number>
  #found = new Map<string, CategoryInfo>()
  #until = 0

  constructor(meow: Pick<Meow, 'categories'>, horizon: () => Promise<number>) {
    this.#meow = meow
    this.#horizon = horizon
  }

  /** Not to be called again before it has answered. */
  async read(): Promise<CategoryInfo[]> {
    const horizon = await this.#horizon()
    // A server took over that had not got all that was seen.
    if (horizon < this.#until) this.#found = new Map()
    const after = horizon < this.#until ? 0 : this.#until
    const more = after < horizon ? await this.#meow.categories({ after, until: horizon }) : []
    for (const info of more) addCounts(this.#found, info)
    this.#until = horizon
    return [...this.#found.values()]
  }
}
