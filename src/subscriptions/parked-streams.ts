// The queries of an executor about its parked streams.
import type pg from 'pg'
import { errorToStore, escapeNonAscii } from '../core/error-to-store.ts'
import type { Queries } from '../database/database.ts'
import { encodingOf } from '../database/encoding.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent } from '../events/event.ts'
import { toEvent } from '../events/event.ts'
import type { Selection } from '../events/selector.ts'
import { sizeOf } from '../read/page.ts'
import type { Calls, OwnedRef } from './calls.ts'

/** A parked stream. */
export interface ParkedStream {
  readonly category: string
  readonly streamId: string
  /** Its events from this position on are not delivered. */
  position: number
  /** How often the event at `position` was tried. */
  attempts: number
  replaying: boolean
  /** The event at `position` is discarded: the replay leaves it out. */
  discarded: boolean
  /** The position of its last event that this executor skipped. */
  skipped: number
  /** When to try again, in ms of the monotonic clock. */
  due: number
}

export class ParkedStreams {
  readonly #db: Queries
  readonly #calls: Calls
  readonly #selection: Selection
  #encoding: string | undefined // of the database, read when it is first needed

  constructor(db: Queries, calls: Calls, selection: Selection) {
    this.#db = db
    this.#calls = calls
    this.#selection = selection
  }

  /** Parks the stream of an event, from this event on. False: the lease is lost. */
  async park(
    partition: OwnedRef,
    { category, streamId, position }: RecordedEvent,
    attempts: number,
    error: unknown,
    replaying: boolean,
    client?: pg.ClientBase,
  ): Promise<boolean> {
    const values = {
      subscription: this.#calls.subscription,
      partition: partition.number,
      epoch: partition.epoch,
      category,
      streamId,
      position,
      attempts,
      error: await this.#encodable(errorToStore(error), client),
      replaying,
    }
    return isTrue(await this.#calls.runFenced(statements.park, () => values, [{ partition }], client))
  }

  /** A text that the database can store: if its encoding is not UTF8, some characters must be escaped. */
  async #encodable(text: string, client?: pg.ClientBase): Promise<string> {
    if (IS_ASCII.test(text)) return text
    this.#encoding ??= (await encodingOf(this.#db, client)).encoding
    return this.#encoding === 'UTF8' ? text : escapeNonAscii(text)
  }

  /** The parked streams of these partitions, each with the number of its partition. */
  async streams(partitions: readonly number[]): Promise<[partition: number, stream: ParkedStream][]> {
    const rows = await this.#calls.run(statements.parkedStreams, {
      subscription: this.#calls.subscription,
      partitions,
    })
    return rows.map(([partition, category, streamId, position, attempts, replaying, discarded]) => [
      Number(partition),
      {
        category,
        streamId,
        position: Number(position),
        attempts: Number(attempts),
        replaying: replaying === 't',
        discarded: discarded === 't',
        skipped: 0,
        due: 0,
      },
    ])
  }

  /** The next events of a parked stream up to a position, at most `limit` events and `maxBytes` bytes. */
  async read(
    { category, streamId, position }: ParkedStream,
    until: number,
    limit: number,
    maxBytes: number,
  ): Promise<{ event: RecordedEvent; bytes: number }[]> {
    const { types, tags } = this.#selection
    const values = { category, streamId, from: position, until, limit, types, maxBytes, tags }
    const { rows } = await this.#db.page(statements.replayedEvents, values, maxBytes)
    return rows.map((row) => ({ event: toEvent(row), bytes: sizeOf(row) }))
  }

  /** The stream is parked from a position on, or (null) not any more. False: the lease is lost. */
  async move(
    partition: OwnedRef,
    { category, streamId }: ParkedStream,
    position: number | null,
    client?: pg.ClientBase,
  ): Promise<boolean> {
    const { number, epoch } = partition
    const values = {
      subscription: this.#calls.subscription,
      partition: number,
      epoch,
      category,
      streamId,
      position,
    }
    return isTrue(await this.#calls.runFenced(statements.replayed, () => values, [{ partition }], client))
  }
}

const IS_ASCII = /^[\0-\x7f]*$/
const isTrue = (row: readonly [string] | undefined): boolean => row?.[0] === 't'
