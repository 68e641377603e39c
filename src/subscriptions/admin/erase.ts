import { z } from 'zod'
import type { ProjectedAppends } from '../../append/projected.ts'
import type { Projections } from '../../append/projections.ts'
import { causeOfProjection } from '../../append/projections.ts'
import { checkStream } from '../../append/request.ts'
import { ownTransaction } from '../../append/transaction.ts'
import { clientSchema, nameSchema } from '../../core/fields.ts'
import type { SqlClient } from '../../core/sql-client.ts'
import { parse } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import { retryDeadlocks } from '../../database/retry-deadlocks.ts'
import { statements } from '../../database/statements.ts'
import type { RecordedEvent, StreamRef } from '../../events/event.ts'
import { isEventRow, toEvent } from '../../events/event.ts'

/** Options of `eraseStream`. */
export interface EraseOptions {
  /** Why the stream is erased; at most 255 characters. It is stored in the tombstone, so it must not be personal. */
  reason?: string | undefined
  /** Erase in the open transaction of this client, which the caller commits. */
  client?: SqlClient | undefined
}

/** The result of an erasure. */
export interface Erased {
  /** How many events were emptied by this call. */
  events: number
  /**
   * The event of type `$erased` after the emptied events, with the data `{ events, reason? }`. If there was nothing to empty,
   * the tombstone of the last erasure. Null: there is no such stream.
   */
  tombstone: RecordedEvent | null
}

const eraseOptionsSchema = z.strictObject({ reason: nameSchema.optional(), client: clientSchema.optional() })

/** Erases the data of a stream's events; the function is in sql/functions/erase_stream.sql. */
export class Erasure {
  readonly #db: Database
  readonly #projections: Projections
  readonly #projected: ProjectedAppends

  constructor(db: Database, projections: Projections, projected: ProjectedAppends) {
    this.#db = db
    this.#projections = projections
    this.#projected = projected
  }

  async erase(ref: StreamRef, options: EraseOptions = {}): Promise<Erased> {
    const stream = checkStream(ref)
    const { reason, client } = parse(eraseOptionsSchema, options, 'options')
    const erase = (client: SqlClient) => this.#run(stream, reason, client)
    const throwCause = (error: unknown) => {
      throw causeOfProjection(error)
    }
    if (client) return this.#projected.inTransactionOf(client, () => erase(client)).catch(throwCause)
    this.#projections.refuseOutside()
    return retryDeadlocks(() => ownTransaction(this.#db, erase).catch(throwCause))
  }

  async #run(
    { category, streamId }: StreamRef,
    reason: string | undefined,
    client: SqlClient,
  ): Promise<Erased> {
    const values = { category, streamId, reason: reason ?? null }
    const [row] = await this.#db.query(statements.erase, values, client)
    const [erased, ...event] = row!
    const events = Number(erased)
    const tombstone = isEventRow(event) ? toEvent(event) : null
    const along = this.#projections.select(() => [category])
    // Inline projections get the tombstone, so that read models erase the stream's data too.
    if (along && tombstone && events > 0) await this.#projections.run(along, [tombstone], client)
    return { events, tombstone }
  }
}
