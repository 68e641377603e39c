// The horizon of the store for queries by tags. Any that was fetched before the query serves: nothing has appeared at or below it since.
// An older one only makes what was seen longer, and the check of a condition read more. It saves a query half of its cost.
import type { Queries } from '../database/database.ts'
import { HorizonReader } from './horizon.ts'

/** How long a horizon is used. In ms. */
const FRESH_MS = 100

export class RecentHorizon {
  readonly #db: Queries
  #reader: HorizonReader
  #fetched: { readonly horizon: number; readonly until: number } | undefined
  #fetching: Promise<number> | undefined

  constructor(db: Queries) {
    this.#db = db
    this.#reader = new HorizonReader(db)
    db.timeline.onLoss(() => this.#forget())
    db.timeline.onEmptied(() => this.#forget())
  }

  /** A horizon of now, or of a moment ago. It is void if the timeline has changed since the call. */
  async get(): Promise<number> {
    const { clock } = this.#db
    if (this.#fetched && clock.now() < this.#fetched.until) return this.#fetched.horizon
    if (this.#fetching) return this.#fetching
    const fetching = this.#fetch().finally(() => {
      if (this.#fetching === fetching) this.#fetching = undefined
    })
    this.#fetching = fetching
    return fetching
  }

  /** The next call fetches it: so many positions above it were seen. */
  expire(): void {
    this.#fetched = undefined
  }

  async #fetch(): Promise<number> {
    const reader = this.#reader
    const [horizons] = await reader.fetch()
    const horizon = horizons.ofStore
    if (reader === this.#reader) this.#fetched = { horizon, until: this.#db.clock.now() + FRESH_MS }
    return horizon
  }

  #forget(): void {
    this.#fetched = undefined
    this.#fetching = undefined
    this.#reader = new HorizonReader(this.#db)
  }
}
