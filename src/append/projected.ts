import type pg from 'pg'
import type { Database } from '../database/database.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Batch, BatchOptions, Outcome } from './batch.ts'
import { Batcher } from './batcher.ts'
import type { Along, Projections } from './projections.ts'
import { bare } from './projections.ts'
import type { Request } from './request.ts'
import { insideTransaction, ownTransaction } from './transaction.ts'

/** Appends with projections under way at once, each on a connection of its own; one is left to those without. */
const MAX_LANES = 4

/**
 * Appends that have inline projections. Each travels alone, in a transaction of its own (or of the caller), so that what a
 * handler undoes is no other's; and on lanes of its own, so that nobody without projections waits for a handler.
 */
export class ProjectedAppends {
  readonly #db: Database
  readonly #batch: Batch
  readonly #projections: Projections
  readonly #batcher: Batcher
  readonly #turns = new WeakMap<pg.ClientBase, Promise<unknown>>() // the last append in each caller's transaction

  constructor(db: Database, batch: Batch, projections: Projections) {
    this.#db = db
    this.#batch = batch
    this.#projections = projections
    const lanes = Math.min(Math.max(db.settings.maxConnections - 1, 1), MAX_LANES)
    this.#batcher = new Batcher(db, this, lanes)
  }

  /** Whether, and what, is to be done along with these. */
  along(requests: readonly Request[]): Along | undefined {
    return this.#projections.along(() => requests.map(({ stream }) => stream.category))
  }

  async append(
    along: Along,
    requests: readonly Request[],
    atomic: boolean,
    client?: pg.ClientBase,
  ): Promise<Outcome[]> {
    try {
      if (client)
        return await this.inside(client, () => this.#appendAlong(along, requests, { atomic, client }))
      this.#projections.refuseOutside()
      requests[0]!.along = along
      return await this.#batcher.append(requests, true)
    } catch (error) {
      throw bare(error)
    }
  }

  /** What a handler of an inline projection asks outside its transaction would wait for that. */
  refuseOutside(): void {
    this.#projections.refuseOutside()
  }

  /** A batch of one call, in a transaction of its own; for the batcher. */
  run(requests: readonly Request[], { trip, ...options }: BatchOptions = {}): Promise<Outcome[]> {
    const append = (client: pg.ClientBase) =>
      this.#appendAlong(requests[0]!.along!, requests, { ...options, client })
    return ownTransaction(this.#db, append, trip)
  }

  /** Savepoints of one transaction do not mix: what has some goes one after the other. */
  inside<T>(client: pg.ClientBase, body: () => Promise<T>): Promise<T> {
    const run = () => insideTransaction(this.#db, client, body)
    // A handler that got hold of the caller's client is part of the turn that it would wait for.
    if (this.#projections.inside) return run()
    const turn = (this.#turns.get(client) ?? Promise.resolve()).then(run)
    const ended = turn.then(
      () => {},
      () => {},
    )
    this.#turns.set(client, ended)
    ended.then(() => this.#turns.get(client) === ended && this.#turns.delete(client))
    return turn
  }

  /** Resolves once nothing in this transaction can be undone by another's savepoint; undefined: at once. */
  busy(client: pg.ClientBase): Promise<unknown> | undefined {
    return this.#projections.inside ? undefined : this.#turns.get(client)
  }

  close(): Promise<void> {
    return this.#batcher.close()
  }

  async #appendAlong(
    along: Along,
    requests: readonly Request[],
    options: BatchOptions & { client: pg.ClientBase },
  ): Promise<Outcome[]> {
    const outcomes = await this.#batch.run(requests, options)
    const events: RecordedEvent[] = []
    for (const outcome of outcomes) {
      if (outcome instanceof Error) return outcomes // of one call, so nothing was written
      if (!outcome.deduplicated) events.push(...outcome.events)
    }
    if (events.length > 0) await this.#projections.run(along, events, options.client)
    return outcomes
  }
}
