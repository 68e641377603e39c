// The queries that the studio sends to the store again and again.
import type { Subscription } from 'rxjs'
import type { Meow } from '../meow.ts'
import type { StoreStatus } from '../notify/listener.ts'
import { CategoryCounts } from './category-counts.ts'
import type { Held } from './held.ts'
import { SharedQuery } from './shared-query.ts'
import { managersOf, timersOf } from './timers.ts'

/** A bit less than a second, so that each tick of one second gets a new answer. */
const A_SECOND = 900

/** The queries of pages and of Prometheus. Each is sent once for all of them. */
export class StudioQueries {
  readonly categories
  readonly subscriptions
  readonly stallers
  readonly horizon
  readonly held
  readonly projections
  readonly timers
  readonly managers
  readonly #status: Subscription
  #listener: StoreStatus = { state: 'closed', since: new Date(0) }
  #reconnects = 0

  constructor(meow: Meow) {
    this.subscriptions = new SharedQuery(() => meow.subscriptions(), A_SECOND)
    this.stallers = new SharedQuery(() => meow.stallers(), 2 * A_SECOND)
    // This selects no events: it only returns the horizon.
    const nothing = { after: Number.MAX_SAFE_INTEGER, limit: 1 }
    const horizon = async () => (await meow.read({}, nothing)).horizon
    this.horizon = new SharedQuery(horizon, A_SECOND)
    this.held = new SharedQuery(async (): Promise<Held> => {
      const until = await horizon()
      return { horizon: until, categories: await meow.categories({ after: until }) }
    }, A_SECOND)
    this.projections = new SharedQuery(() => meow.projections(), A_SECOND)
    this.timers = new SharedQuery(() => timersOf(meow), A_SECOND)
    this.managers = new SharedQuery(() => managersOf(meow), A_SECOND)
    const counts = new CategoryCounts(meow, horizon)
    this.categories = new SharedQuery(() => counts.read(), 5_000)
    this.#status = meow.status$.subscribe((status) => {
      if (this.#listener.state === 'listening' && status.state === 'reconnecting') this.#reconnects++
      this.#listener = status
    })
  }

  get listener(): StoreStatus {
    return this.#listener
  }

  /** How often push was lost since the studio started. */
  get reconnects(): number {
    return this.#reconnects
  }

  close(): void {
    this.#status.unsubscribe()
  }
}
