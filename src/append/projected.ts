import { ClosedError } from '../core/errors.ts'
import { KeyedQueue } from '../core/keyed-queue.ts'
import { Semaphore } from '../core/semaphore.ts'
import type { SqlClient } from '../core/sql-client.ts'
import type { Database } from '../database/database.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Batch, BatchOptions, Outcome } from './batch.ts'
import type { AppendProjections, Projections } from './projections.ts'
import { causeOfProjection } from './projections.ts'
import type { Request } from './request.ts'
import { insideTransaction, ownTransaction } from './transaction.ts'
import { outcomesOf, outcomeUnknown, Unanswered, write } from './write.ts'

/** Appends with projections under way at once, each on a connection of its own; at least one is left for other appends. */
const MAX_AT_ONCE = 4

/**
 * Appends with inline projections. Each has a transaction of its own (or the caller's), so that a rollback undoes no other
 * append. Their number is limited, so that other appends need not wait for handlers.
 */
export class ProjectedAppends {
  readonly #db: Database
  readonly #batch: Batch
  readonly #projections: Projections
  readonly #slots: Semaphore
  readonly #streams = new KeyedQueue<string>()
  readonly #clients = new KeyedQueue<SqlClient>() // appends in callers' transactions
  #closed = false

  constructor(db: Database, batch: Batch, projections: Projections) {
    this.#db = db
    this.#batch = batch
    this.#projections = projections
    this.#slots = new Semaphore(Math.min(Math.max(db.settings.maxConnections - 1, 1), MAX_AT_ONCE))
  }

  /** The projections that run with these requests; undefined if there are none. */
  select(requests: readonly Request[]): AppendProjections | undefined {
    return this.#projections.select(() => requests.map(({ stream }) => stream.category))
  }

  async append(
    along: AppendProjections,
    requests: readonly Request[],
    atomic: boolean,
    client?: SqlClient,
  ): Promise<Outcome[]> {
    try {
      if (client)
        return await this.inTransactionOf(client, () =>
          this.#appendAndProject(along, requests, { atomic, client }),
        )
      this.#projections.refuseOutside()
      if (this.#closed) throw new ClosedError()
      const keys = requests.map(({ key }) => key)
      return await this.#streams.run(keys, () => this.#slots.use(() => this.#write(along, requests)))
    } catch (error) {
      throw causeOfProjection(error)
    }
  }

  /** Refuses appends of an inline projection's handler outside its transaction: they would wait for that transaction. */
  refuseOutside(): void {
    this.#projections.refuseOutside()
  }

  /** Appends in a transaction of its own. */
  async #write(along: AppendProjections, requests: readonly Request[]): Promise<Outcome[]> {
    const run = (requests: readonly Request[], { progress, ...options }: BatchOptions = {}) =>
      ownTransaction(
        this.#db,
        (client) => this.#appendAndProject(along, requests, { ...options, client }),
        progress,
      )
    try {
      return outcomesOf(requests, await write(this.#db, { run }, requests, { atomic: true }))
    } catch (error) {
      throw error instanceof Unanswered ? outcomeUnknown(requests, error.cause) : error
    }
  }

  /** Runs `body` alone in the caller's transaction, because savepoints of one transaction must not overlap. */
  inTransactionOf<T>(client: SqlClient, body: () => Promise<T>): Promise<T> {
    const run = () => insideTransaction(this.#db, client, body)
    // A handler that uses the caller's client already runs inside this queue, so it must not wait for it.
    if (this.#projections.isInsideHandler) return run()
    return this.#clients.run([client], run)
  }

  /** Resolves once no other savepoint can undo anything in this transaction; undefined if that is so already. */
  unfinished(client: SqlClient): Promise<unknown> | undefined {
    return this.#projections.isInsideHandler ? undefined : this.#clients.last(client)
  }

  /** Refuses new appends, and waits for those in progress. */
  close(): Promise<void> {
    this.#closed = true
    return this.#streams.settled()
  }

  async #appendAndProject(
    along: AppendProjections,
    requests: readonly Request[],
    options: BatchOptions & { client: SqlClient },
  ): Promise<Outcome[]> {
    const outcomes = await this.#batch.run(requests, options)
    const events: RecordedEvent[] = []
    for (const outcome of outcomes) {
      if (outcome instanceof Error) return outcomes // they belong to one call, so nothing was written
      if (!outcome.deduplicated) events.push(...outcome.events)
    }
    if (events.length > 0) await this.#projections.run(along, events, options.client)
    return outcomes
  }
}
