import { abortable, sharedController } from '../core/abort.ts'
import { pauseAfter } from '../core/backoff.ts'
import { Condition } from '../core/condition.ts'
import { isTransient, isTransientAtStart } from '../database/failures.ts'
import { retryForever } from '../database/retry-policy.ts'
import type { RetryReporting } from '../database/retry-reporter.ts'
import type { Budget } from '../read/budget.ts'
import type { Horizons } from '../read/horizon.ts'
import type { Page } from '../read/page.ts'
import { PageCache } from './page-cache.ts'

/** What a tail needs from outside. */
export interface TailPorts extends RetryReporting {
  /**
   * All horizons, as of a moment after the call. If one round trip gives both, also the page above `after`, which must be
   * read after the horizons. `promised` is the highest notified position; 0: there may be more than was notified.
   */
  fetchHorizon(after: number, promised: number): Promise<[Horizons, ((horizon: number) => Page) | undefined]>
  /** One page of the selection, up to a position at or below the horizon. */
  page(after: number, until: number): Promise<Page>
  /** The lock keys of the selected categories: their announcements limit the horizon. */
  keys: readonly number[]
  budget?: Budget
}

interface FetchedHorizon {
  /** The highest position that was notified before the fetch began. */
  readonly promised: number
  readonly found: ReturnType<TailPorts['fetchHorizon']>
}

/** What `wake` gets if notifications may have been missed: any position may have been notified. */
export const ANY_POSITION = Number.MAX_SAFE_INTEGER

/** How many events a tail caches for observers that are nearly up to date. */
const CACHED_EVENTS = 1_024

/**
 * The live end of one selection. All observers of that selection in this process share it, so each event is read once.
 *
 *     read(after) -> in the page cache?       -> serve it from memory
 *                 -> below the horizon?       -> read a page from the database, once for all that ask for it
 *                 -> at the horizon?          -> wait for a wake-up, fetch the horizon, and try again
 *
 * A notification, a reconnected listener and the poll timer all wake it. A wake-up promises nothing: it only says that
 * fetching the horizon may be worthwhile.
 */
export class Tail {
  readonly #ports: TailPorts
  readonly #closing = sharedController()
  readonly #cache: PageCache
  readonly #reads = new Map<number, Promise<Page>>()
  #horizon = -1 // the highest fetched; the horizon may step back, but what is below this stays complete
  #advancing: Promise<Page | undefined> | undefined
  #promised = ANY_POSITION // the highest position that was notified since the last fetch began
  #mayHaveMissed = true // notifications may have been missed
  #expected = 0 // the horizon will reach at least this position
  #wakes = 1
  #wakesAnswered = 0 // how many wake-ups the last fetch answers
  readonly #woken = new Condition()

  constructor(ports: TailPorts) {
    this.#ports = ports
    this.#cache = new PageCache(CACHED_EVENTS, ports.budget)
  }

  /** Fetch the horizon: a position was notified, or (null) something may have happened. */
  wake(position: number | null): void {
    if (position !== null && position <= this.#horizon) return
    if (position === null) this.#mayHaveMissed = true
    else if (position > this.#promised) this.#promised = position
    this.#wakes++
    this.#woken.fire()
  }

  /** The next page above `after`; waits until the horizon is above it. */
  async read(after: number, signal: AbortSignal): Promise<Page> {
    for (;;) {
      signal.throwIfAborted()
      const kept = this.#cache.read(after)
      if (kept) return kept
      if (after < this.#horizon) return abortable(this.#page(after), signal)
      const fresh = await abortable(this.#advance(), signal)
      if (fresh?.after === after) return fresh // it may be too large for the cache
    }
  }

  /** Resolves once the horizon is known. */
  async horizonKnown(signal: AbortSignal): Promise<void> {
    if (this.#horizon < 0) await abortable(this.#advance(), signal)
  }

  get horizon(): number {
    return this.#horizon
  }

  /** Whether an open append holds back events that are known to be committed. */
  get isHeldBack(): boolean {
    return this.#expected > this.#horizon
  }

  /** Read everything from the database again. */
  clearCache(): void {
    this.#cache.clear()
  }

  close(): void {
    this.#closing.abort()
    this.#cache.clear()
    this.wake(null) // the fetch that waits ends, and rejects
  }

  #page(after: number): Promise<Page> {
    const until = this.#horizon
    let read = this.#reads.get(after)
    if (!read) {
      read = retryForever(() => this.#ports.page(after, until), this.#policy)
        .then((page) => {
          if (page.position >= until) this.#cache.push(page)
          return page
        })
        .finally(() => this.#reads.delete(after))
      read.catch(() => {}) // never unhandled: perhaps no caller waits for it any more
      this.#reads.set(after, read)
    }
    return read
  }

  /** Resolves once the horizon is higher, with the page that was fetched together with it, if there is one. */
  #advance(): Promise<Page | undefined> {
    if (!this.#advancing) {
      this.#advancing = this.#fetchUntilHigher().finally(() => {
        this.#advancing = undefined
      })
      this.#advancing.catch(() => {})
    }
    return this.#advancing
  }

  async #fetchUntilHigher(): Promise<Page | undefined> {
    const from = this.#horizon
    for (let attempt = 0; ; attempt++) {
      // While an open append holds events back, fetch again soon, then less often.
      const { isHeldBack } = this
      if (!isHeldBack) attempt = 0
      let fetched: FetchedHorizon | undefined
      if (this.#wakes === this.#wakesAnswered) {
        if (isHeldBack) {
          const cancel = this.#ports.clock.after(pauseAfter(attempt + 1, { firstMs: 1, maxMs: 50 }), () =>
            this.#woken.fire(),
          )
          await this.#woken.next()
          cancel()
        } else {
          fetched = await this.#woken.next(() => this.#fetch(from))
        }
      }
      fetched ??= this.#fetch(from)
      const { promised } = fetched
      const [horizons, page] = await fetched.found
      // The horizon must reach every committed position that was notified. An open append may still hold it back, and its
      // rollback sends no notification, so this loop fetches again. Notified positions that are higher than all
      // committed ones are invalid, or ANY_POSITION.
      this.#expected = Math.max(this.#expected, Math.min(promised, horizons.committed))
      // If no append holds the horizon back, nothing more will appear: the other positions were rolled back.
      if (!horizons.isHeldBack(this.#ports.keys)) this.#expected = 0
      this.#horizon = Math.max(this.#horizon, horizons.of(this.#ports.keys))
      if (this.#horizon > from) {
        const fresh = from >= 0 ? page?.(this.#horizon) : undefined
        if (fresh) this.#cache.push(fresh)
        // The first of several notifications began this fetch. It may already have found the events of the later ones.
        if (!this.#mayHaveMissed && this.#promised <= this.#horizon) this.#wakesAnswered = this.#wakes
        return fresh
      }
    }
  }

  /** Begin to fetch the horizon, for all wake-ups so far. */
  #fetch(from: number): FetchedHorizon {
    const [promised, mayHaveMissed] = [this.#promised, this.#mayHaveMissed]
    this.#wakesAnswered = this.#wakes
    this.#promised = 0
    this.#mayHaveMissed = false
    const fetch = () => this.#ports.fetchHorizon(from, mayHaveMissed ? 0 : promised)
    const found = retryForever(fetch, this.#policy, from < 0 ? isTransientAtStart : isTransient)
    return { promised, found }
  }

  get #policy() {
    const { clock, logger, retries, scope } = this.#ports
    return { signal: this.#closing.signal, clock, logger, retries, scope }
  }
}
