import { sharedController } from '../../core/abort.ts'
import { pauseAfter } from '../../core/backoff.ts'
import type { Queries } from '../../database/database.ts'
import { isLost, isTransient } from '../../database/failures.ts'
import { PublisherLease } from './publisher-lease.ts'
import { publishForAll } from './publishing.ts'

/** When a process becomes the publisher. */
export interface CoalescerRules {
  /** Below this many positions a second, the server is not asked how many appends wait. */
  readonly speed: number
  /** How many appends wait for each other at once … */
  readonly waiting: number
  /** … in how many checks in a row. */
  readonly checks: number
  /** How long a process that closes waits for open appends. Then another process has to notify the rest. In ms. */
  readonly leaveMs: number
}

/**
 * NOTIFY costs time because commits wait for each other, and the server shows that: of a process whose batches write 15,000
 * events a second, one transaction waits at times; of 8 clients that append by themselves 5 to 7 wait, of 32 clients 30.
 */
const RULES: CoalescerRules = { speed: 50, waiting: 4, checks: 2, leaveMs: 1_000 }

const CHECK_MS = 250
/** The pause if little is appended. A check is still needed, because a publisher may have died. In ms. */
const SLOW_CHECK_MS = 1_000
/** The longest pause after errors, for example if the role may not write the lease. In ms. */
const MAX_PAUSE_MS = 60_000

/**
 * Decides when this process becomes the publisher, which notifies for all appends of the store. It checks only after `saw` was
 * called with a new position, so an idle process asks nothing.
 */
export class Coalescer {
  readonly #db: Queries
  readonly #rules: CoalescerRules
  readonly #lease: PublisherLease
  readonly #closing = sharedController()
  #head = 0 // the highest position that this process has seen
  #checked: { head: number; at: number } | undefined // at the last check
  #askedAt = -Infinity // when the lease was last read
  #mayBeOpen = true // the lease may have to be closed, perhaps since before this process started
  #contended = 0 // checks in a row in which enough appends waited
  #failures = 0 // checks in a row that failed
  #endWait: (() => void) | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(db: Queries, rules = RULES) {
    this.#db = db
    this.#rules = rules
    this.#lease = new PublisherLease(db)
    db.timeline.onLoss(() => {
      this.#head = 0
    })
  }

  /** This process has written or read an event at this position. */
  saw(position: number): void {
    if (position <= this.#head) return
    this.#head = position
    if (!this.#endWait) this.#wait(CHECK_MS)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#endWait?.()
    await this.#running
  }

  #wait(ms: number): void {
    if (this.#closing.signal.aborted) return
    this.#endWait = this.#db.clock.after(ms, () => {
      this.#running = this.#check()
        .then((again) => {
          this.#failures = 0
          return again
        })
        .catch((error) => {
          this.#db.settings.logger.debug({ err: error }, 'notifying for all appends failed')
          if (isLost(error)) return CHECK_MS
          if (!isTransient(error)) return MAX_PAUSE_MS
          return pauseAfter(++this.#failures, { firstMs: CHECK_MS, maxMs: MAX_PAUSE_MS })
        })
        .then((again) => {
          this.#endWait = undefined
          if (again !== null) this.#wait(again)
        })
    })
  }

  /** Returns in how many ms to check again, or null: when a new position is seen. */
  async #check(): Promise<number | null> {
    const { clock, settings } = this.#db
    const now = clock.now()
    const before = this.#checked ?? { head: this.#head, at: now }
    const isBusy = this.#head - before.head >= (this.#rules.speed * (now - before.at)) / 1_000
    this.#checked = { head: this.#head, at: now }
    const slowCheckInMs = this.#askedAt + SLOW_CHECK_MS - now
    if (!this.#mayBeOpen && !isBusy && slowCheckInMs > 0) {
      this.#contended = 0
      return slowCheckInMs
    }
    this.#askedAt = now
    const state = await this.#lease.state(isBusy)
    this.#mayBeOpen = !state.closed
    if (state.closed) {
      this.#contended = state.waiting >= this.#rules.waiting ? this.#contended + 1 : 0
      if (this.#contended === 0) return null
      if (this.#contended < this.#rules.checks) return CHECK_MS / 2
    } else if (state.leftMs > 0) {
      return state.leftMs + clock.random() * CHECK_MS
    }
    this.#contended = 0
    this.#mayBeOpen = true
    await publishForAll(state.closed, {
      lease: this.#lease,
      clock,
      logger: settings.logger,
      closing: this.#closing.signal,
      leaveMs: this.#rules.leaveMs,
    })
    return CHECK_MS
  }
}
