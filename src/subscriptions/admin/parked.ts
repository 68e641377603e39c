import { z } from 'zod'
import { ValidationError } from '../../core/errors.ts'
import { nameSchema, textSchema } from '../../core/fields.ts'
import { parse, refuseUndefined } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import { retryDeadlocks } from '../../database/retry-deadlocks.ts'
import { SQLSTATE } from '../../database/sqlstate.ts'
import { statements } from '../../database/statements.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { toEvent } from '../../events/event.ts'
import { SubscriptionNotFoundError } from '../errors.ts'

/** A parked event of a subscription: one that failed, or a later event of its stream. */
export interface ParkedEvent {
  /** The event as it is stored, without upcasting. */
  event: RecordedEvent
  /** How often it was tried; 0: it follows a failed event, or is being replayed, which counts from 0 again. */
  attempts: number
  /** The error of the last attempt, with its stack if it has one; null: it follows a failed event, or was parked without an error. */
  error: string | null
  /** When its stream was parked, by the database's clock. */
  parkedAt: Date
}

/** Which parked events are listed. */
export interface ParkedOptions {
  /** How many events at most; default 100, minimum 1, maximum 100_000. Fewer, if they are larger than `maxBufferedBytes` together. */
  limit?: number | undefined
}

/** Which parked events are replayed; default: all. */
export interface ReplayOptions {
  /** Only streams with this id, in every category that the subscription selects. It must not be `undefined`: leave it out. */
  streamId?: string
}

/** Which event is discarded, and why. */
export interface DiscardOptions {
  /** The id of its stream. */
  streamId: string
  /** Why, for later readers; at least one character. It is stored, so it must not be personal. */
  reason: string
  /** The category of its stream, if several categories have a parked stream with this id. */
  category?: string | undefined
}

/** An event that was discarded. */
export interface DiscardedEvent {
  /** The event as it is stored, without upcasting. */
  event: RecordedEvent
  /** How often it was tried. */
  attempts: number
  /** The error of the last attempt; null: it was parked without an error, or its stream was erased. */
  error: string | null
  reason: string
  /** The role of the database that discarded it. */
  discardedBy: string
  /** When, by the database's clock. */
  discardedAt: Date
}

const discardOptionsSchema = z.strictObject({
  streamId: nameSchema,
  reason: textSchema.refine((text) => text.trim() !== '', 'must not be blank'),
  category: nameSchema.optional(),
})
/** @internal */
export const parkedOptionsSchema = z.strictObject({
  limit: z.number().int().min(1).max(100_000).default(100),
})
/** @internal */
export const replayOptionsSchema = z.strictObject({ streamId: nameSchema.optional() })

/** Lists, replays and discards the parked events of subscriptions. */
export class ParkedEvents {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async list(subscription: string, options: ParkedOptions = {}): Promise<ParkedEvent[]> {
    const named = parse(nameSchema, subscription, 'name')
    const { limit } = parse(parkedOptionsSchema, options, 'options')
    const { maxBufferedBytes } = this.#db.settings
    const values = { subscription: named, limit, maxBytes: maxBufferedBytes }
    const { rows } = await this.#known(named, () =>
      this.#db.page(statements.parked, values, maxBufferedBytes),
    )
    return rows.map(([attempts, error, parkedMs, ...event]) => ({
      event: toEvent(event),
      attempts: Number(attempts),
      error,
      parkedAt: new Date(Number(parkedMs)),
    }))
  }

  async replay(subscription: string, options: ReplayOptions = {}): Promise<number> {
    const named = parse(nameSchema, subscription, 'name')
    refuseUndefined(options, 'options', { streamId: 'every stream that is parked' })
    const { streamId } = parse(replayOptionsSchema, options, 'options')
    const values = { subscription: named, streamId: streamId ?? null }
    const [row] = await this.#known(named, () => this.#db.query(statements.replayParked, values))
    return Number(row![0])
  }

  async discard(subscription: string, options: DiscardOptions): Promise<number> {
    const named = parse(nameSchema, subscription, 'name')
    const { streamId, reason, category = null } = parse(discardOptionsSchema, options, 'options')
    const values = { subscription: named, streamId, reason, category }
    const discard = () => retryDeadlocks(() => this.#db.query(statements.discardParked, values))
    const [row] = await this.#known(named, discard).catch((error) => {
      if (error.code !== SQLSTATE.needsOneCategory) throw error
      throw new ValidationError('options.category', `must say which one: ${error.message}`, category)
    })
    const [discarded, replayed] = row!
    if (Number(discarded) > 0) return Number(replayed)
    const what = `must be that of a parked stream of subscription "${named}"; one that is being replayed is not parked`
    throw new ValidationError('options.streamId', what, streamId)
  }

  async discarded(subscription: string, options: ParkedOptions = {}): Promise<DiscardedEvent[]> {
    const named = parse(nameSchema, subscription, 'name')
    const { limit } = parse(parkedOptionsSchema, options, 'options')
    const rows = await this.#db.query(statements.discarded, { subscription: named, limit })
    return rows.map(([attempts, error, reason, discardedBy, discardedMs, ...event]) => ({
      event: toEvent(event),
      attempts: Number(attempts),
      error: error === '' ? null : error,
      reason,
      discardedBy,
      discardedAt: new Date(Number(discardedMs)),
    }))
  }

  async #known<T>(subscription: string, query: () => Promise<T>): Promise<T> {
    try {
      return await query()
    } catch (error) {
      throw (error as { code?: string }).code === SQLSTATE.noSubscription
        ? new SubscriptionNotFoundError(subscription)
        : error
    }
  }
}
