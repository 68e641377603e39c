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
export interface Teller {
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
export class Trouble {
  readonly #teller: Teller
  #attempt = 0
  #began = 0
  #since = new Date(0)
  #saidAt = -Infinity
  #saidAloud = false

  constructor(teller: Teller) {
    this.#teller = teller
  }

  /** How often it has failed. */
  get attempt(): number {
    return this.#attempt
  }

  /** It failed. Returns how long to wait before the next try, in ms. */
  failed(error: unknown): number {
    this.tell(error)
    return backoff(this.#attempt, this.#teller.clock, isLost(error) ? LOST_PAUSE_MS : REFUSED_PAUSE_MS)
  }

  /** It failed, and when to try again is for the caller to say. */
  tell(error: unknown): void {
    const { clock, retries, scope } = this.#teller
    this.#attempt++
    if (this.#attempt === 1) {
      this.#began = clock.now()
      this.#since = new Date(clock.wall())
    } else {
      retries?.set(this, { since: this.#since, error, scope })
    }
    this.#say(error)
  }

  /** It succeeded. */
  over(): void {
    if (this.#attempt === 0) return
    const { clock, logger } = this.#teller
    const said = { ms: Math.round(clock.now() - this.#began), attempts: this.#attempt }
    logger[this.#saidAloud ? 'info' : 'debug'](said, 'the database does what it is asked again')
    this.end()
  }

  /** Nobody wants it any more. */
  end(): void {
    if (this.#attempt === 0) return
    this.#teller.retries?.set(this, undefined)
    this.#attempt = 0
    this.#saidAt = -Infinity
    this.#saidAloud = false
  }

  #say(error: unknown): void {
    const { clock, logger } = this.#teller
    const said = { err: error, attempt: this.#attempt, since: this.#since }
    const again = clock.now() - this.#saidAt < AGAIN_MS
    if (!again) this.#saidAt = clock.now()
    const isRefused = isRefusal(error)
    const isRace = codeOf(error).startsWith('40')
    const level = again ? 'debug' : isRefused && !isRace ? 'error' : 'warn'
    this.#saidAloud ||= level !== 'debug'
    if (isRefused)
      logger[level](said, 'the database refused what it was asked; trying again until it does it')
    else logger[level](said, 'the database did not answer; trying again')
  }
}
