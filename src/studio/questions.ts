import type { Subscription } from 'rxjs'
import type { Meow } from '../meow.ts'
import type { StoreStatus } from '../notify/listener.ts'
import { CategoryCounts } from './category-counts.ts'
import { Gentle } from './gentle.ts'
import type { Held } from './held.ts'

/** Below a tick of a second, so that every tick gets a fresh answer. */
const A_SECOND = 900

/** What is asked of the store again and again, by pages and by Prometheus: each once for all. */
export class Questions {
  readonly categories
  readonly subscriptions
  readonly stallers
  readonly horizon
  readonly held
  readonly #status: Subscription
  #listener: StoreStatus = { state: 'closed', since: new Date(0) }
  #reconnects = 0

  constructor(meow: Meow) {
    this.subscriptions = new Gentle(() => meow.subscriptions(), A_SECOND)
    this.stallers = new Gentle(() => meow.stallers(), 2 * A_SECOND)
    // No events: behind the last position there is but the horizon.
    const nothing = { after: Number.MAX_SAFE_INTEGER, limit: 1 }
    const horizon = async () => (await meow.read({}, nothing)).horizon
    this.horizon = new Gentle(horizon, A_SECOND)
    this.held = new Gentle(async (): Promise<Held> => {
      const until = await horizon()
      return { horizon: until, categories: await meow.categories({ after: until }) }
    }, A_SECOND)
    const counts = new CategoryCounts(meow, horizon)
    this.categories = new Gentle(() => counts.read(), 5_000)
    this.#status = meow.status$.subscribe((status) => {
      if (this.#listener.state === 'listening' && status.state === 'reconnecting') this.#reconnects++
      this.#listener = status
    })
  }

  get listener(): StoreStatus {
    return this.#listener
  }

  /** How often push was lost since the studio began. */
  get reconnects(): number {
    return this.#reconnects
  }

  close(): void {
    this.#status.unsubscribe()
  }
}
