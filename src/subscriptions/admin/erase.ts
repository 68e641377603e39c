import type pg from 'pg'
import { z } from 'zod'
import type { ProjectedAppends } from '../../append/projected.ts'
import type { Projections } from '../../append/projections.ts'
import { causeOfProjection } from '../../append/projections.ts'
import { checkStream } from '../../append/request.ts'
import { ownTransaction } from '../../append/transaction.ts'
import { client, name } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { Database, Statement } from '../../database/database.ts'
import type { RecordedEvent, StreamRef } from '../../events/event.ts'
import { toEvent } from '../../events/event.ts'

/** What `eraseStream` takes beside the stream. */
export interface EraseOptions {
  /** Why, kept in the tombstone: nothing personal. At most 255 characters. */
  reason?: string | undefined
  /** Erase inside this client's open transaction: the caller commits. */
  client?: pg.ClientBase | undefined
}

/** What an erasure came to. */
export interface Erased {
  /** How many events were emptied now. */
  events: number
  /**
   * The event of type `$erased` behind them, with the data `{ events, reason? }`. Where there was nothing to empty: that of
   * the last erasure, or null: there is no such stream.
   */
  tombstone: RecordedEvent | null
}

const eraseOptions = z.strictObject({ reason: name.optional(), client: client.optional() })

/** How often to try where locks were taken crosswise: who is cancelled then has done nothing. */
const ATTEMPTS = 5

/** Takes out of a stream what it says; sql/functions/erase_stream.sql. */
export class Erasure {
  readonly #db: Database
  readonly #projections: Projections
  readonly #projected: ProjectedAppends
  readonly #erase: Statement

  constructor(db: Database, projections: Projections, projected: ProjectedAppends) {
    this.#db = db
    this.#projections = projections
    this.#projected = projected
    this.#erase = db.file('erase')
  }

  async erase(ref: StreamRef, options: EraseOptions = {}): Promise<Erased> {
    const stream = checkStream(ref)
    const { reason, client } = parse(eraseOptions, options, 'options')
    const erase = (client: pg.ClientBase) => this.#run(stream, reason, client)
    if (!client) this.#projections.refuseOutside()
    for (let attempt = 1; ; attempt++) {
      try {
        return await (client
          ? this.#projected.inTransactionOf(client, () => erase(client))
          : ownTransaction(this.#db, erase))
      } catch (failed) {
        const error = causeOfProjection(failed)
        const { code } = (error ?? {}) as { code?: string }
        if (client || (code !== '40P01' && code !== '40001') || attempt === ATTEMPTS) throw error
      }
    }
  }

  async #run(
    { category, streamId }: StreamRef,
    reason: string | undefined,
    client: pg.ClientBase,
  ): Promise<Erased> {
    const [row] = await this.#db.query(this.#erase, [category, streamId, reason ?? null], client)
    const [erased, ...event] = row!
    const events = Number(erased)
    const tombstone = event[0] === null ? null : toEvent(event)
    const along = this.#projections.select(() => [category])
    // What a read model says of the stream goes with it.
    if (along && tombstone && events > 0) await this.#projections.run(along, [tombstone], client)
    return { events, tombstone }
  }
}
