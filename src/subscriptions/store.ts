// What an executor asks the database: its partitions, its leases and its checkpoints. Parked streams are in parked-streams.ts.
import type pg from 'pg'
import type { Clock } from '../core/clock.ts'
import { HistoryLostError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { Queries } from '../database/database.ts'
import type { Retries } from '../database/retry-reporter.ts'
import { statements } from '../database/statements.ts'
import type { Selection } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import { Budget } from '../read/budget.ts'
import type { HeldBack } from '../read/held-back.ts'
import { heldBack } from '../read/held-back.ts'
import type { Reader } from '../read/reader.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { OwnedRef } from './calls.ts'
import { Calls } from './calls.ts'
import { SubscriptionNotFoundError } from './errors.ts'
import { ParkedStreams } from './parked-streams.ts'

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
  readonly parked: ParkedStreams
  readonly #db: Queries
  readonly #reader: Reader
  readonly #calls: Calls
  readonly #owner: string
  readonly #selection: Selection
  readonly #partitions: number
  readonly #leaseMs: number
  #revision: string | null = null // of the subscription when it was registered

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
    this.#calls = new Calls(db, options.name)
    this.parked = new ParkedStreams(db, this.#calls, options.selection)
    this.#owner = options.owner
    this.#selection = options.selection
    this.#partitions = options.partitions
    this.#leaseMs = options.leaseMs
  }

  /** Creates the subscription if it does not exist, or fails if it `mustExist`. */
  async register(from: From, mustExist = false): Promise<void> {
    if (mustExist && !(await this.#exists())) throw new SubscriptionNotFoundError(this.#calls.subscription)
    const { categories, types, streamId, tags } = this.#selection
    if (typeof from === 'object' && 'after' in from && from.after > this.#db.timeline.position)
      await this.#reader.reaches(from.after).catch(async (error) => {
        // An existing subscription continues at its checkpoint, so `from` does not matter.
        if (!(error instanceof HistoryLostError) || !(await this.#exists())) throw error
      })
    const position = await this.#beginning(from)
    const [row] = await this.#calls.run(statements.subscribe, {
      name: this.#calls.subscription,
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
    return (
      (await this.#calls.run(statements.reached, { subscription: this.#calls.subscription, position: 0 }))
        .length > 0
    )
  }

  /** `paused`: the last claim said that the subscription is paused. */
  async claim(owned: readonly OwnedRef[], paused = false): Promise<Share> {
    const rows = await this.#calls.run(statements.claim, {
      subscription: this.#calls.subscription,
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

  /** Moves checkpoints up and renews leases. Returns the numbers of the partitions that are still owned. */
  async advance(reached: readonly Reached[], client?: pg.ClientBase): Promise<number[]> {
    const values = (still: readonly Reached[]) => ({
      subscription: this.#calls.subscription,
      leaseMs: this.#leaseMs,
      ...fences(still),
    })
    return numbers(await this.#calls.runFenced(statements.advance, values, reached, client))
  }

  /** Releases partitions with their last checkpoints. Returns the numbers of those that were still owned. */
  async release(reached: readonly Reached[], leaving: boolean): Promise<number[]> {
    const values = (still: readonly Reached[]) => ({
      subscription: this.#calls.subscription,
      owner: this.#owner,
      ...fences(still),
      leaving,
    })
    return numbers(await this.#calls.runFenced(statements.release, values, reached))
  }

  /** How many events the subscription still has to handle. A large number is an estimate. */
  async lag(): Promise<{ lag: number; lagIsEstimate: boolean; heldBack: HeldBack }> {
    const [row] = await this.#calls.run(statements.lag, { name: this.#calls.subscription })
    const [lag, lagIsEstimate, events, ms] = row ?? NO_LAG
    return { lag: Number(lag), lagIsEstimate: lagIsEstimate === 't', heldBack: heldBack(events, ms) }
  }

  /** The notification channel that wakes executors. */
  async channel(): Promise<string> {
    const [row] = await this.#calls.run(statements.wakeChannel, { subscription: this.#calls.subscription })
    return row![0]
  }
}

/** Of a subscription that does not exist. */
const NO_LAG = ['0', 'f', '0', '0'] as const

const fences = (reached: readonly Reached[]) => ({
  partitions: reached.map(({ partition }) => partition.number),
  epochs: reached.map(({ partition }) => partition.epoch),
  positions: reached.map(({ position }) => position),
})
const numbers = ([array]: readonly [string] = ['{}']): number[] =>
  array === '{}' ? [] : array.slice(1, -1).split(',').map(Number)
