import type { HeldBack } from '../read/held-back.ts'
import { NOT_HELD_BACK } from '../read/held-back.ts'
import type { Failing } from './outage.ts'
import type { OwnedPartitions } from './owned-partitions.ts'
import type { Store } from './store.ts'

/** How an executor stands, or all of one subscription in this process. */
export interface ExecutorStatus {
  /**
   * `waiting`: it owns no partition. `catching-up`: there is more to read. `live`: it has read all there is, and is pushed
   * the rest. `failing`: its handlers fail, one stream after the other, and it tries one event at a time until one succeeds; or
   * the database does not do what it is asked, which is tried again.
   * `stopped`: it has not begun, or has ended; with an `error` if it ended by itself.
   */
  state: 'waiting' | 'catching-up' | 'live' | 'failing' | 'stopped'
  /** The checkpoint, as far as this executor knows: the least of its partitions'. */
  position: number
  /** Up to where there is nothing left to appear, as of its last look. */
  horizon: number
  /**
   * Committed events that are not acked yet: of these partitions, or, while catching up or held back, of the whole
   * subscription.
   */
  lag: number
  /** What of it can't be delivered yet, because an append is open; as of the last count, a few seconds ago at most. */
  heldBack: HeldBack
  /** Whether `lag` is an estimate, as it is of more than 10,000 events while catching up. */
  lagIsEstimate: boolean
  /** Deliveries that are not acked. */
  inFlight: number
  /** The partitions that this executor owns. */
  partitions: number[]
  /** Of `failing`: the last error, of a handler or of the database. Of `stopped`: what ended it, if not `stop()` or `close()`. Of others: what ended another executor of this process. */
  error?: unknown
  /** When it began to fail, or was ended by `error`. */
  since?: Date
}

const NOTHING = { lag: 0, lagIsEstimate: false, heldBack: NOT_HELD_BACK }

/** Pause between two counts of what there is to catch up with. */
const COUNT_MS = 1_000

/** Tells how an executor stands. */
export class Report {
  readonly #owned: OwnedPartitions
  readonly #store: Store
  readonly #emit: (status: ExecutorStatus) => void
  readonly #isWatched: () => boolean
  readonly #isHeldBack: () => boolean
  #state: ExecutorStatus['state'] = 'waiting'
  #position = 0
  #horizon = 0
  #lag = NOTHING
  #countedAt = -Infinity
  #failing: Failing | undefined
  #retrying: Failing | undefined

  /**
   * `watched`: whether anybody is told, for whose sake alone events are counted. `held`: whether an open append holds back
   * what is next.
   */
  constructor(
    holdings: OwnedPartitions,
    store: Store,
    tell: (status: ExecutorStatus) => void,
    watched: () => boolean,
    held: () => boolean,
  ) {
    this.#isHeldBack = held
    this.#owned = holdings
    this.#store = store
    this.#emit = tell
    this.#isWatched = watched
  }

  update(state = this.#state, horizon = 0): void {
    const { partitions } = this.#owned
    this.#state = state
    this.#horizon = Math.max(this.#horizon, horizon)
    this.count()
    if (partitions.length > 0) this.#position = Math.min(...partitions.map(({ durable }) => durable))
    this.#emit(this.#status())
  }

  /** It has ended, by an error or because it was to. */
  stopped(failure: { error: unknown } | undefined): void {
    this.#failing = failure && { ...failure, since: new Date(this.#store.clock.wall()) }
    this.update('stopped')
  }

  failing(failing: Failing | undefined): void {
    if (this.#state === 'stopped') return
    this.#failing = failing
    this.update()
  }

  /** What the database is asked is tried again, and why; undefined: no longer. */
  retrying(retrying: Failing | undefined): void {
    if (retrying?.error === this.#retrying?.error) return
    this.#retrying = retrying
    if (this.#state !== 'stopped') this.update()
  }

  /** Horizons of before are no measure any more. */
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

  /** How it stands now, for one who asks; he waits for a count, but not for long: the database may be away. */
  async read(): Promise<ExecutorStatus> {
    const counted = new AbortController()
    const late = this.#store.clock.sleep(COUNT_MS, counted.signal).catch(() => {})
    await Promise.race([this.#counted(), late])
    counted.abort()
    return this.#status()
  }

  /** Whether there may be more than what is in flight. */
  get #hasMore(): boolean {
    return this.#state === 'catching-up' || (this.#state === 'live' && this.#isHeldBack())
  }

  /** How much there is to catch up with. */
  count(): void {
    if (this.#isWatched()) this.#counted()
  }

  /** Once a second at most. */
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
      this.#store.logger.debug({ err: error }, 'a lag could not be counted')
    }
  }
}
