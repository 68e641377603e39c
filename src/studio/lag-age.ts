// How old the oldest event is that a subscription may still have to handle.
import { wall } from '../core/clock.ts'
import type { Meow } from '../meow.ts'
import type { SubscriptionInfo } from '../subscriptions/admin/subscriptions.ts'

const MOST_KEPT = 500

/**
 * The age of the first event above the lowest position of a subscription. Another partition may have handled that event, so the lag
 * is at most this old. The event is looked up once for each position.
 */
export class LagAge {
  readonly #meow: Meow
  readonly #known = new Map<string, { position: number; recordedAt: Promise<number | null> }>()

  constructor(meow: Meow) {
    this.#meow = meow
  }

  /** In ms; null if there is no lag, or if that event cannot be read. */
  async of({ name, lag, position, selector }: SubscriptionInfo): Promise<number | null> {
    if (lag === 0) return null
    let known = this.#known.get(name)
    if (known?.position !== position) {
      if (this.#known.size >= MOST_KEPT) this.#known.clear()
      known = { position, recordedAt: this.#find(selector, position) }
      this.#known.set(name, known)
    }
    const recordedAt = await known.recordedAt
    if (recordedAt === null && this.#known.get(name) === known) this.#known.delete(name)
    return recordedAt === null ? null : Math.max(0, wall() - recordedAt)
  }

  /** The lag is shown without its age if this fails. */
  async #find(selector: SubscriptionInfo['selector'], after: number): Promise<number | null> {
    try {
      const { events } = await this.#meow.read(selector, { after, limit: 1 })
      return events[0]?.recordedAt.getTime() ?? null
    } catch {
      return null
    }
  }
}
