import { withTimeout } from '../core/timeout.ts'
import type { LiveFeed } from '../live/live.ts'
import type { HeldBack } from '../read/held-back.ts'
import { NOT_HELD_BACK } from '../read/held-back.ts'
import type { Failing } from './outage.ts'
import type { OwnedPartitions } from './owned-partitions.ts'
import type { Store } from './store.ts'

/** The status of an executor, or of all executors of a subscription in this process. */
export interface ExecutorStatus {
  /**
   * `waiting`: it owns no partition. `catching-up`: there are more events to read. `live`: it has read all events, and new
   * ones are pushed. `failing`: the handlers of several streams fail, and it tries one event at a time until one succeeds;
   * or the database fails, and its query is tried again. `paused`: by `pauseSubscription`; what was in flight ends. `stopped`: it has not begun, or has ended; with an `error` if it
   * ended by itself.
   */
  state: 'waiting' | 'catching-up' | 'live' | 'failing' | 'paused' | 'stopped'
  /** The lowest checkpoint of its partitions, as far as this executor knows. */
  position: number
  /** The horizon that it fetched last: no event can still appear at or below it. */
  horizon: number
  /**
   * Committed events that are not acked yet, in these partitions. While it is paused, catching up or held back, in the whole
   * subscription.
   */
  lag: number
  /** The part of `lag` that can't be delivered yet because of an open append; counted a few seconds ago at most. */
  heldBack: HeldBack
  /** Whether `lag` is an estimate. It may be, if it is above 10,000 events while catching up. */
  lagIsEstimate: boolean
  /** Deliveries that are not acked. */
  inFlight: number
  /** The partitions that this executor owns. */
  partitions: number[]
  /** In state `failing`: the last error of a handler or the database. In `stopped`: the error that ended it. In other states: the error that ended another executor of this process. */
  error?: unknown
  /** When it began to fail, or was ended by `error`. */
  since?: Date
}

const NOTHING = { lag: 0, lagIsEstimate: false, heldBack: NOT_HELD_BACK }

/** The pause between two counts of the lag, in ms. */
const COUNT_MS = 1_000

/** What observes the status of an executor. */
export interface StatusObserver {
  status(status: ExecutorStatus): void
  /** Whether anyone observes the status. The lag is counted only then. */
  isWatched(): boolean
}

/** Keeps the status of an executor, and emits each change. */
export class Report {
  readonly #owned: OwnedPartitions
  readonly #store: Store
  readonly #observer: StatusObserver
  /** The feed that the executor reads, if there is one. */
  feed: Pick<LiveFeed, 'isHeldBack'> | undefined
  #state: ExecutorStatus['state'] = 'waiting'
  #position = 0
  #horizon = 0
  #lag = NOTHING
  #countedAt = -Infinity
  #failing: Failing | undefined
  #retrying: Failing | undefined

  constructor(owned: OwnedPartitions, store: Store, observer: StatusObserver) {
    this.#owned = owned
    this.#store = store
    this.#observer = observer
  }

  /** Whether an open append holds back the next events. */
  get isHeldBack(): boolean {
    return this.feed?.isHeldBack() ?? false
  }

  update(state = this.#state, horizon = 0): void {
    const { partitions } = this.#owned
    this.#state = state
    this.#horizon = Math.max(this.#horizon, horizon)
    this.count()
    if (partitions.length > 0) this.#position = Math.min(...partitions.map(({ durable }) => durable))
    this.#observer.status(this.#status())
  }

  /** The executor has ended, with an error if there is a failure. */
  stopped(failure: { error: unknown } | undefined): void {
    this.#failing = failure && { ...failure, since: new Date(this.#store.clock.wall()) }
    this.update('stopped')
  }

  failing(failing: Failing | undefined): void {
    if (this.#state === 'stopped') return
    this.#failing = failing
    this.update()
  }

  /** A query of the database is tried again; undefined: no longer. */
  retrying(retrying: Failing | undefined): void {
    if (retrying?.error === this.#retrying?.error) return
    this.#retrying = retrying
    if (this.#state !== 'stopped') this.update()
  }

  /** The server has lost history, so the known horizon is not valid any more. */
  forgetHorizon(): void {
    this.#horizon = 0
  }

  #status(): ExecutorStatus {
    const { partitions, inFlight } = this.#owned
    const failing = this.#state === 'stopped' ? this.#failing : (this.#retrying ?? this.#failing)
    const { lag, lagIsEstimate, heldBack } = this.#hasMore ? this.#lag : NOTHING
    return {
      state: failing && this.#state !== 'stopped' ? 'failing' : this.#state,
      position: this.#position,
      horizon: Math.max(this.#horizon, this.#position),
      lag: Math.max(lag, inFlight),
      lagIsEstimate,
      heldBack,
      inFlight,
      partitions: partitions.map(({ number }) => number).sort((a, b) => a - b),
      ...failing,
    }
  }

  /** The status with a fresh count of the lag; or with the last count, if the database does not answer within COUNT_MS. */
  async read(): Promise<ExecutorStatus> {
    const { clock } = this.#store
    await withTimeout(
      COUNT_MS,
      () => this.#counted(),
      () => {},
      { clock },
    )
    return this.#status()
  }

  /** Whether there may be more events than those in flight. */
  get #hasMore(): boolean {
    return (
      this.#state === 'catching-up' || this.#state === 'paused' || (this.#state === 'live' && this.isHeldBack)
    )
  }

  /** Count the lag, if anyone observes the status. */
  count(): void {
    if (this.#observer.isWatched()) this.#counted()
  }

  /** Count the lag, at most once in COUNT_MS. */
  async #counted(): Promise<void> {
    if (!this.#hasMore) {
      this.#lag = NOTHING
      return
    }
    const now = this.#store.clock.now()
    if (now - this.#countedAt < COUNT_MS) return
    this.#countedAt = now
    try {
      this.#lag = await this.#store.lag()
      if (this.#hasMore) this.update()
    } catch (error) {
      this.#store.logger.debug({ err: error }, 'the lag could not be counted; trying again later')
    }
  }
}
