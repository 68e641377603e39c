import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import { hasState, isLost, isRefusal } from './failures.ts'
import { SQLSTATE } from './sqlstate.ts'

/** An operation that is being retried: since when, and the last error. */
export interface Retrying {
  readonly since: Date
  readonly error: unknown
}

/** The scope of all reads of a store. */
export const READS = Symbol('reads')

/** The operations that a store is retrying now, for its status. */
export class Retries {
  readonly #all = new Map<object, Retrying & { readonly scope: unknown }>()
  readonly #listeners = new Set<() => void>()

  /** The oldest operation in one of these scopes, or in any scope. */
  current(...scopes: unknown[]): Retrying | undefined {
    for (const { scope, since, error } of this.#all.values())
      if (scopes.length === 0 || scopes.includes(scope)) return { since, error }
    return undefined
  }

  /** Calls back after each change. The returned function ends this. */
  onChange(call: () => void): () => void {
    this.#listeners.add(call)
    return () => void this.#listeners.delete(call)
  }

  set(key: object, retrying: (Retrying & { readonly scope: unknown }) | undefined): void {
    if (retrying) this.#all.set(key, retrying)
    else if (!this.#all.delete(key)) return
    for (const call of this.#listeners) call()
  }
}

/** Where retries are reported: a clock, a logger, and the status of the store. */
export interface RetryReporting {
  readonly clock: Clock
  readonly logger: Logger
  readonly retries?: Retries | undefined
  readonly scope?: unknown
}

/** The longest pauses, in ms: work continues within 2 s after a server is back; a server that refuses is asked less often. */
const LOST_PAUSE_MS = 1_000
const REFUSED_PAUSE_MS = 5_000
/** How often the same failure is logged again. In ms. */
const AGAIN_MS = 60_000

/**
 * Reports an operation that fails and is retried: in the log first at once and then rarely, and in the status from the second
 * failure on.
 */
export class RetryReporter {
  readonly #reporting: RetryReporting
  #attempt = 0
  #began = 0
  #since = new Date(0)
  #loggedAt = -Infinity
  #wasLogged = false

  constructor(teller: RetryReporting) {
    this.#reporting = teller
  }

  /** The number of failures so far. */
  get attempt(): number {
    return this.#attempt
  }

  /** Reports a failure. Returns the pause before the next attempt, in ms. */
  failed(error: unknown): number {
    this.report(error)
    const maxMs = isLost(error) ? LOST_PAUSE_MS : REFUSED_PAUSE_MS
    return backoff(this.#attempt, this.#reporting.clock, { maxMs })
  }

  /** Reports a failure. The caller decides when to retry. */
  report(error: unknown): void {
    const { clock, retries, scope } = this.#reporting
    this.#attempt++
    if (this.#attempt === 1) {
      this.#began = clock.now()
      this.#since = new Date(clock.wall())
    } else {
      retries?.set(this, { since: this.#since, error, scope })
    }
    this.#log(error)
  }

  /** Reports that the operation succeeded. */
  succeeded(): void {
    if (this.#attempt === 0) return
    const { clock, logger } = this.#reporting
    const said = { ms: Math.round(clock.now() - this.#began), attempts: this.#attempt }
    logger[this.#wasLogged ? 'info' : 'debug'](said, 'the database works again')
    this.end()
  }

  /** Ends the report, because the operation is no longer needed. */
  end(): void {
    if (this.#attempt === 0) return
    this.#reporting.retries?.set(this, undefined)
    this.#attempt = 0
    this.#loggedAt = -Infinity
    this.#wasLogged = false
  }

  #log(error: unknown): void {
    const { clock, logger } = this.#reporting
    const said = { err: error, attempt: this.#attempt, since: this.#since }
    const again = clock.now() - this.#loggedAt < AGAIN_MS
    if (!again) this.#loggedAt = clock.now()
    const isRefused = isRefusal(error)
    const isRace = hasState(error, SQLSTATE.rolledBack)
    const level = again ? 'debug' : isRefused && !isRace ? 'error' : 'warn'
    this.#wasLogged ||= level !== 'debug'
    if (isRefused) logger[level](said, 'the database refused a query; trying again until it succeeds')
    else logger[level](said, 'the database did not answer; trying again')
  }
}
