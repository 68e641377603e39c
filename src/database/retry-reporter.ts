import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import { codeOf, isLost, isRefusal } from './failures.ts'

/** What is tried again: since when, and why. */
export interface Retrying {
  readonly since: Date
  readonly error: unknown
}

/** The scope of all reads of a store. */
export const READS = Symbol('reads')

/** What a store is trying again just now, for whoever tells how it stands. */
export class Retries {
  readonly #all = new Map<object, Retrying & { readonly scope: unknown }>()
  readonly #listeners = new Set<() => void>()

  /** The oldest of one of these scopes, or of any. */
  current(...scopes: unknown[]): Retrying | undefined {
    for (const { scope, since, error } of this.#all.values())
      if (scopes.length === 0 || scopes.includes(scope)) return { since, error }
    return undefined
  }

  /** Call back when something changes; what it returns ends that. */
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

/** By which clock something is tried again, and who hears of it. */
export interface RetryReporting {
  readonly clock: Clock
  readonly logger: Logger
  readonly retries?: Retries | undefined
  readonly scope?: unknown
}

/** A server that is back is found within 2 s; one that refuses is asked less often. */
const LOST_PAUSE_MS = 1_000
const REFUSED_PAUSE_MS = 5_000
/** How often the log repeats the same trouble. */
const AGAIN_MS = 60_000

/** Something that fails and is tried again: told in the log the first time, then seldom, and in the status from its second try on. */
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

  /** How often it has failed. */
  get attempt(): number {
    return this.#attempt
  }

  /** It failed. Returns how long to wait before the next try, in ms. */
  failed(error: unknown): number {
    this.report(error)
    return backoff(this.#attempt, this.#reporting.clock, isLost(error) ? LOST_PAUSE_MS : REFUSED_PAUSE_MS)
  }

  /** It failed, and when to try again is for the caller to say. */
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

  /** It succeeded. */
  succeeded(): void {
    if (this.#attempt === 0) return
    const { clock, logger } = this.#reporting
    const said = { ms: Math.round(clock.now() - this.#began), attempts: this.#attempt }
    logger[this.#wasLogged ? 'info' : 'debug'](said, 'the database does what it is asked again')
    this.end()
  }

  /** Nobody wants it any more. */
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
    const isRace = codeOf(error).startsWith('40')
    const level = again ? 'debug' : isRefused && !isRace ? 'error' : 'warn'
    this.#wasLogged ||= level !== 'debug'
    if (isRefused)
      logger[level](said, 'the database refused what it was asked; trying again until it does it')
    else logger[level](said, 'the database did not answer; trying again')
  }
}
