import { sharedController } from '../../core/abort.ts'
import { pauseAfter } from '../../core/backoff.ts'
import type { Queries } from '../../database/database.ts'
import { isLost, isTransient } from '../../database/failures.ts'
import { conduct } from './coalescer.ts'
import { QuietLease } from './lease.ts'

/** When a process takes the duty to notify upon itself. */
export interface DutyRules {
  /** Positions a second, below which nobody is asked who waits. */
  readonly speed: number
  /** Appends that wait for each other at once … */
  readonly waiting: number
  /** … in so many looks in a row. */
  readonly looks: number
  /** How long a process that closes waits for open appends, before it leaves the rest to others. */
  readonly leaveMs: number
}

/**
 * What NOTIFY costs is that commits wait for each other, and that can be seen: one process whose batches write 15,000 events
 * a second has one of them wait at times, 8 clients that append by themselves have 5 to 7, 32 have 30.
 */
const RULES: DutyRules = { speed: 50, waiting: 4, looks: 2, leaveMs: 1_000 }

const CHECK_MS = 250
/** Where little is appended, too, somebody may have died in his turn. */
const SLOW_MS = 1_000
/** Until the next try at most, of who has not the rights to conduct, say. */
const REFUSED_MS = 60_000

/** Whoever appends or reads in this process tells of the positions that it sees, and this looks whether there is a duty to take. */
export class Duty {
  readonly #db: Queries
  readonly #rules: DutyRules
  readonly #lease: QuietLease
  #looked = -Infinity // when
  readonly #closing = sharedController()
  #head = 0 // the highest position that was seen here
  #checked: { head: number; at: number } | undefined
  #failures = 0 // in a row
  #seen = 0 // looks in a row in which appends waited
  #open = true // somebody's lease may have to be closed: that of before we came
  #endWait: (() => void) | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(db: Queries, rules = RULES) {
    this.#db = db
    this.#rules = rules
    this.#lease = new QuietLease(db)
    db.timeline.onLoss(() => {
      this.#head = 0
    })
  }

  /** A position was handed out. */
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
          if (!isTransient(error)) return REFUSED_MS
          return pauseAfter(++this.#failures, { firstMs: CHECK_MS, maxMs: REFUSED_MS })
        })
        .then((again) => {
          this.#endWait = undefined
          if (again !== null) this.#wait(again)
        })
    })
  }

  /** In how many ms to check again, or null: when something is seen. */
  async #check(): Promise<number | null> {
    const { clock, settings } = this.#db
    const now = clock.now()
    const before = this.#checked ?? { head: this.#head, at: now }
    const fast = this.#head - before.head >= (this.#rules.speed * (now - before.at)) / 1_000
    this.#checked = { head: this.#head, at: now }
    const early = this.#looked + SLOW_MS - now
    if (!this.#open && !fast && early > 0) {
      this.#seen = 0
      return early
    }
    this.#looked = now
    const standing = await this.#lease.look(fast)
    this.#open = !standing.closed
    if (standing.closed) {
      this.#seen = standing.waiting >= this.#rules.waiting ? this.#seen + 1 : 0
      if (this.#seen === 0) return null
      if (this.#seen < this.#rules.looks) return CHECK_MS / 2
    } else if (standing.leftMs > 0) {
      return standing.leftMs + clock.random() * CHECK_MS
    }
    this.#seen = 0
    this.#open = true
    await conduct(standing.closed, {
      lease: this.#lease,
      clock,
      logger: settings.logger,
      closing: this.#closing.signal,
      leaveMs: this.#rules.leaveMs,
    })
    return CHECK_MS
  }
}
