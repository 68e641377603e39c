import { z } from 'zod'
import { name } from '../../core/fields.ts'
import { parse, refuseUndefined } from '../../core/validate.ts'
import type { Database, Statement } from '../../database/database.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { toEvent } from '../../events/event.ts'
import { SubscriptionNotFoundError } from '../errors.ts'

/** An event that a subscription has set aside: one that failed, or one of its stream that waits behind it. */
export interface ParkedEvent {
  /** As it is stored, without upcasting. */
  event: RecordedEvent
  /** How often it was tried; 0: it only waits behind another, or was put back, which counts anew. */
  attempts: number
  /** What the last attempt failed with, its stack where there is one; null: it only waits, or was parked without. */
  error: string | null
  /** When its stream was set aside, by the database's clock. */
  parkedAt: Date
}

/** What of the parked events is listed. */
export interface ParkedOptions {
  /** Events at most; default 100, minimum 1, maximum 100_000. Fewer, if they would be larger than `maxBufferedBytes` together. */
  limit?: number | undefined
}

/** What of the parked events is put back; default: all. */
export interface ReplayOptions {
  /** Only this stream; of every category, if the subscription selects several. It must not be `undefined`: leave it out. */
  streamId?: string
}

const parkedOptions = z.strictObject({ limit: z.number().int().min(1).max(100_000).default(100) })
const replayOptions = z.strictObject({ streamId: name.optional() })

/** What subscriptions have set aside. */
export class Parking {
  readonly #db: Database
  readonly #list: Statement
  readonly #replay: Statement

  constructor(db: Database) {
    this.#db = db
    this.#list = db.file('parked')
    this.#replay = db.file('replay_parked')
  }

  async list(subscription: string, options: ParkedOptions = {}): Promise<ParkedEvent[]> {
    const named = parse(name, subscription, 'name')
    const { limit } = parse(parkedOptions, options, 'options')
    const { maxBufferedBytes } = this.#db.settings
    const { rows } = await this.#known(named, () =>
      this.#db.page(this.#list, [named, limit, maxBufferedBytes], maxBufferedBytes),
    )
    return rows.map(([attempts, error, parkedAt, ...event]) => ({
      event: toEvent(event),
      attempts: Number(attempts),
      error: error as string | null,
      parkedAt: new Date(Number(parkedAt)),
    }))
  }

  async replay(subscription: string, options: ReplayOptions = {}): Promise<number> {
    const named = parse(name, subscription, 'name')
    refuseUndefined(options, 'options', { streamId: 'every stream that is parked' })
    const { streamId } = parse(replayOptions, options, 'options')
    const rows = await this.#known(named, () => this.#db.query(this.#replay, [named, streamId ?? null]))
    return Number(rows[0]![0])
  }

  async #known<T>(subscription: string, query: () => Promise<T>): Promise<T> {
    try {
      return await query()
    } catch (error) {
      throw (error as { code?: string }).code === 'MW011'
        ? new SubscriptionNotFoundError(subscription)
        : error
    }
  }
}
