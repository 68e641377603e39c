import type pg from 'pg'
import type { Clock } from '../core/clock.ts'
import { describe } from '../core/describe.ts'
import { HistoryLostError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import { redactText } from '../core/secrets.ts'
import type { Queries } from '../database/database.ts'
import { encodingOf } from '../database/encoding.ts'
import type { Retries } from '../database/retry-reporter.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { Arguments, RowOf, Statement } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent } from '../events/event.ts'
import { toEvent } from '../events/event.ts'
import type { Selection } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import { Budget } from '../read/budget.ts'
import type { HeldBack } from '../read/held-back.ts'
import { heldBack } from '../read/held-back.ts'
import { sizeOf } from '../read/page.ts'
import type { Reader } from '../read/reader.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import { SubscriptionMismatchError, SubscriptionNotFoundError } from './errors.ts'

/** A partition that a claim has taken. A write with an older epoch has no effect. */
export interface Grant {
  partition: number
  epoch: number
  /** The checkpoint. */
  position: number
}

/** The answer to a claim. */
export interface Share {
  /** How many partitions this executor should own. */
  share: number
  /** When the first lease of another executor expires, in ms; null: there is no other executor. */
  waitMs: number | null
  /** The subscription is paused; then the share is 0. */
  paused: boolean
  /** The partitions that this claim has taken. */
  taken: Grant[]
  /** The partitions that were owned before and still are. */
  kept: Grant[]
}

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

/** What a write needs to know of an owned partition. */
type OwnedRef = { readonly number: number; readonly epoch: number; readonly lost?: boolean }

/** A partition and the position of its next checkpoint. */
interface Reached {
  readonly partition: OwnedRef
  readonly position: number
}

/** The queries of one executor; their functions are in sql/functions. */
export class Store {
  readonly logger: Logger
  readonly clock: Clock
  readonly telemetry: ConsumerTelemetry | undefined
  readonly signal: AbortSignal
  readonly budget: Budget
  readonly retries: Retries | undefined
  /** If a query of this executor fails and is tried again, the status of this executor shows it, and no other status. */
  readonly scope = this
  readonly #db: Queries
  readonly #reader: Reader
  readonly #name: string
  readonly #owner: string
  readonly #selection: Selection
  readonly #partitions: number
  readonly #leaseMs: number
  #revision: string | null = null // of the subscription when it was registered
  #encoding: string | undefined // of the database, read when it is first needed

  constructor(
    db: Queries,
    reader: Reader,
    options: { name: string; owner: string; selection: Selection; partitions: number; leaseMs: number },
    signal: AbortSignal,
    budget = new Budget(),
  ) {
    this.logger = db.settings.logger
    this.clock = db.clock
    this.telemetry = db.telemetry?.consumer(options.name)
    this.signal = signal
    this.retries = db.retries
    this.budget = budget
    this.#db = db
    this.#reader = reader
    this.#name = options.name
    this.#owner = options.owner
    this.#selection = options.selection
    this.#partitions = options.partitions
    this.#leaseMs = options.leaseMs
  }

  /** Create the subscription if it does not exist, or fail if it `mustExist`. */
  async register(from: From, mustExist = false): Promise<void> {
    if (mustExist && !(await this.#exists())) throw new SubscriptionNotFoundError(this.#name)
    const { categories, types, streamId, tags } = this.#selection
    if (typeof from === 'object' && 'after' in from && from.after > this.#db.timeline.position)
      await this.#reader.reaches(from.after).catch(async (error) => {
        // An existing subscription continues at its checkpoint, so `from` does not matter.
        if (!(error instanceof HistoryLostError) || !(await this.#exists())) throw error
      })
    const position = await this.#beginning(from)
    const [row] = await this.#call(statements.subscribe, {
      name: this.#name,
      categories: categories.length > 0 ? categories : null,
      types,
      streamId,
      partitions: this.#partitions,
      position,
      tags,
    })
    this.#revision = row![0]
  }

  /** The position after which a new subscription begins. */
  async #beginning(from: From): Promise<number> {
    if (from === 'start') return 0
    if (from === 'end') return this.#reader.horizon(this.#selection)
    if ('after' in from) return from.after
    // An existing subscription continues at its checkpoint, so it need not be looked for.
    return (await this.#exists()) ? 0 : this.#reader.positionAt(new Date(from.since), this.#selection)
  }

  async #exists(): Promise<boolean> {
    return (await this.#call(statements.reached, { subscription: this.#name, position: 0 })).length > 0
  }

  /** `paused`: the last claim said that the subscription is paused. */
  async claim(owned: readonly OwnedRef[], paused = false): Promise<Share> {
    const rows = await this.#call(statements.claim, {
      subscription: this.#name,
      owner: this.#owner,
      leaseMs: this.#leaseMs,
      partitions: owned.map(({ number }) => number),
      epochs: owned.map(({ epoch }) => epoch),
      revision: this.#revision,
      paused,
    })
    const [, , , , share, waitMs, isPaused] = rows[0]!
    const grants = (fresh: string) =>
      rows
        .filter(([partition, , , taken]) => partition !== null && taken === fresh) // without partitions there is one row, which has the share
        .map(([partition, epoch, position]) => ({
          partition: Number(partition),
          epoch: Number(epoch),
          position: Number(position),
        }))
    return {
      share: Number(share),
      waitMs: waitMs === null ? null : Number(waitMs),
      paused: isPaused === 't',
      taken: grants('t'),
      kept: grants('f'),
    }
  }

  /** Move checkpoints up and renew leases. Returns the numbers of the partitions that are still owned. */
  async advance(reached: readonly Reached[], client?: pg.ClientBase): Promise<number[]> {
    const values = (still: readonly Reached[]) => ({
      subscription: this.#name,
      leaseMs: this.#leaseMs,
      ...fences(still),
    })
    return numbers(await this.#callFenced(statements.advance, values, reached, client))
  }

  /** Release partitions with their last checkpoints. Returns the numbers of those that were still owned. */
  async release(reached: readonly Reached[], leaving: boolean): Promise<number[]> {
    const values = (still: readonly Reached[]) => ({
      subscription: this.#name,
      owner: this.#owner,
      ...fences(still),
      leaving,
    })
    return numbers(await this.#callFenced(statements.release, values, reached))
  }

  async park(
    partition: OwnedRef,
    { category, streamId, position }: RecordedEvent,
    attempts: number,
    error: unknown,
    replaying: boolean,
    client?: pg.ClientBase,
  ): Promise<boolean> {
    const described = kept(error)
    const values = {
      subscription: this.#name,
      partition: partition.number,
      epoch: partition.epoch,
      category,
      streamId,
      position,
      attempts,
      error: NOT_ASCII.test(described) ? await this.#encodable(described, client) : described,
      replaying,
    }
    return isTrue(await this.#callFenced(statements.park, () => values, [{ partition }], client))
  }

  /** A text that the database can store: if its encoding is not UTF8, some characters must be escaped. */
  async #encodable(text: string, client?: pg.ClientBase): Promise<string> {
    this.#encoding ??= (await encodingOf(this.#db, client)).encoding
    return this.#encoding === 'UTF8' ? text : escaped(text)
  }

  /** The parked streams of these partitions, each with the number of its partition. */
  async parkedStreams(partitions: readonly number[]): Promise<[partition: number, stream: ParkedStream][]> {
    const rows = await this.#call(statements.parkedStreams, { subscription: this.#name, partitions })
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
  async readParked(
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
  async moveParked(
    partition: OwnedRef,
    { category, streamId }: ParkedStream,
    position: number | null,
    client?: pg.ClientBase,
  ): Promise<boolean> {
    const { number, epoch } = partition
    const values = { subscription: this.#name, partition: number, epoch, category, streamId, position }
    return isTrue(await this.#callFenced(statements.replayed, () => values, [{ partition }], client))
  }

  /** How many events the subscription still has to handle. A large number is an estimate. */
  async lag(): Promise<{ lag: number; lagIsEstimate: boolean; heldBack: HeldBack }> {
    const [row] = await this.#call(statements.lag, { name: this.#name })
    const [lag, lagIsEstimate, events, ms] = row ?? NO_LAG
    return { lag: Number(lag), lagIsEstimate: lagIsEstimate === 't', heldBack: heldBack(events, ms) }
  }

  /** The notification channel that wakes executors. */
  async channel(): Promise<string> {
    const [row] = await this.#call(statements.wakeChannel, { subscription: this.#name })
    return row![0]
  }

  /**
   * Call a function for the partitions that are still owned when a connection is available: by then leases may be lost, for
   * example because the new connection is to a server that has lost history. A lost partition must not fail the others. If
   * none is left, nothing is written and the result is undefined.
   */
  async #callFenced<P extends string, C extends string, T extends { readonly partition: OwnedRef }>(
    statement: Statement<P, C>,
    values: (still: readonly T[]) => Arguments<P>,
    held: readonly T[],
    client?: pg.ClientBase,
  ): Promise<RowOf<C> | undefined> {
    const call = async (on: pg.ClientBase) => {
      const still = held.filter(({ partition }) => !partition.lost)
      if (still.length === 0 && held.length > 0) return undefined
      const [row] = await this.#call(statement, values(still), on)
      return row
    }
    return client ? call(client) : this.#db.withClient(call)
  }

  async #call<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    client?: pg.ClientBase,
  ): Promise<RowOf<C>[]> {
    try {
      return await this.#db.query(statement, values, client)
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === SQLSTATE.subscriptionMismatch) throw new SubscriptionMismatchError(this.#name, message)
      if (code === SQLSTATE.noSubscription) throw new SubscriptionNotFoundError(this.#name)
      throw error
    }
  }
}

/** Of a subscription that does not exist. */
const NO_LAG = ['0', 'f', '0', '0'] as const

const fences = (reached: readonly Reached[]) => ({
  partitions: reached.map(({ partition }) => partition.number),
  epochs: reached.map(({ partition }) => partition.epoch),
  positions: reached.map(({ position }) => position),
})
const isTrue = (row: readonly [string] | undefined): boolean => row?.[0] === 't'
const numbers = ([array]: readonly [string] = ['{}']): number[] =>
  array === '{}' ? [] : array.slice(1, -1).split(',').map(Number)

/** The text of an error that is stored: its stack, which begins with its message, or a description of the thrown value. */
export function kept(error: unknown): string {
  if (error === undefined) return ''
  // PostgreSQL can store neither NUL nor half of a surrogate pair. The error must be stored nevertheless.
  return redactText(describe(error).slice(0, 100_000)).replaceAll('\u0000', '\uFFFD').toWellFormed()
}

/** Escapes all characters that are not ASCII, as JSON does. */
const escaped = (text: string): string =>
  text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

const NOT_ASCII = /[\u0080-\uffff]/
