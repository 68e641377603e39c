import { abortable, sharedController } from '../core/abort.ts'
import { Condition } from '../core/condition.ts'
import { isTransient, isTransientAtStart } from '../database/failures.ts'
import { retryForever } from '../database/retry-policy.ts'
import type { RetryReporting } from '../database/retry-reporter.ts'
import type { Budget } from '../read/budget.ts'
import type { Horizons } from '../read/horizon.ts'
import type { Page } from '../read/page.ts'
import { PageCache } from './page-cache.ts'

/** What a tail needs of the world. */
export interface TailPorts extends RetryReporting {
  /**
   * All horizons as of a moment after the call; where it comes cheap, with the page above `after`, read behind it.
   * `promised` is what notifications tell of, 0 where there may be more than they tell.
   */
  fetchHorizon(after: number, promised: number): Promise<[Horizons, ((horizon: number) => Page) | undefined]>
  /** One page of what the tail selects, up to a settled position. */
  page(after: number, until: number): Promise<Page>
  /** The lock keys that this tail heeds. */
  keys: readonly number[]
  budget?: Budget
}

interface FetchedHorizon {
  /** The highest position that it was promised. */
  readonly promised: number
  readonly found: ReturnType<TailPorts['fetchHorizon']>
}

/** What `wake` is told where notifications may have been missed: any position may have been one of them. */
export const ANY_POSITION = Number.MAX_SAFE_INTEGER

/** Events that a tail keeps for observers that are nearly up to date. */
const KEPT = 1_024

/**
 * The live end of one selection, shared by all its observers in this process: it reads once and serves many.
 *
 *     read(after) -> kept in the ring?             -> from memory
 *                 -> below the horizon?            -> a page from the database, one for all who want the same
 *                 -> at the horizon?               -> wait to be woken, look at the horizon, again
 *
 * It is woken by a notification, by a fresh listener, by the poll timer; all three only mean: look.
 */
export class Tail {
  readonly #ports: TailPorts
  readonly #closing = sharedController()
  readonly #ring: PageCache
  readonly #reads = new Map<number, Promise<Page>>()
  #horizon = -1 // the highest seen: it may step back, what is below it stays settled
  #advancing: Promise<Page | undefined> | undefined
  #promised = ANY_POSITION // the highest position that was notified since the last look began
  #unsure = true // there may be more than was notified
  #expected = 0 // the highest position that the horizon is known to have to reach
  #wakes = 1
  #seen = 0 // wakes before the last look
  readonly #woken = new Condition()

  constructor(ports: TailPorts) {
    this.#ports = ports
    this.#ring = new PageCache(KEPT, ports.budget)
  }

  /** Something may have happened: a position was notified, or (null) anything at all. */
  wake(position: number | null): void {
    if (position !== null && position <= this.#horizon) return
    if (position === null) this.#unsure = true
    else if (position > this.#promised) this.#promised = position
    this.#wakes++
    this.#woken.fire()
  }

  /** The next page above `after`: at once where there is one, else as soon as the horizon is above it. */
  async read(after: number, signal: AbortSignal): Promise<Page> {
    for (;;) {
      signal.throwIfAborted()
      const kept = this.#ring.read(after)
      if (kept) return kept
      if (after < this.#horizon) return abortable(this.#page(after), signal)
      const fresh = await abortable(this.#advance(), signal)
      if (fresh?.after === after) return fresh // it may be too large to be kept
    }
  }

  /** Resolves once the horizon is known. */
  async begun(signal: AbortSignal): Promise<void> {
    if (this.#horizon < 0) await abortable(this.#advance(), signal)
  }

  get horizon(): number {
    return this.#horizon
  }

  /** Whether an open append holds back what is known to be committed. */
  get held(): boolean {
    return this.#expected > this.#horizon
  }

  /** Serve nothing from memory any more that was read before. */
  forget(): void {
    this.#ring.clear()
  }

  close(): void {
    this.#closing.abort()
    this.#ring.clear()
    this.wake(null) // who waits, or begins to, hears of it
  }

  #page(after: number): Promise<Page> {
    const until = this.#horizon
    let read = this.#reads.get(after)
    if (!read) {
      read = retryForever(() => this.#ports.page(after, until), this.#patience)
        .then((page) => {
          if (page.position >= until) this.#ring.push(page)
          return page
        })
        .finally(() => this.#reads.delete(after))
      read.catch(() => {}) // whoever waits for it hears of it; maybe nobody does any more
      this.#reads.set(after, read)
    }
    return read
  }

  /** Resolves with the page that the horizon was found with, if there is one. */
  #advance(): Promise<Page | undefined> {
    if (!this.#advancing) {
      this.#advancing = this.#lookUntilHigher().finally(() => {
        this.#advancing = undefined
      })
      this.#advancing.catch(() => {})
    }
    return this.#advancing
  }

  async #lookUntilHigher(): Promise<Page | undefined> {
    const from = this.#horizon
    for (let attempt = 0; ; attempt++) {
      // What is expected is held back by an open append: look again soon, then less often.
      const { held } = this
      if (!held) attempt = 0
      let look: FetchedHorizon | undefined
      if (this.#wakes === this.#seen) {
        if (held) {
          const forget = this.#ports.clock.after(Math.min(50, 2 ** attempt), () => this.#woken.fire())
          await this.#woken.next()
          forget()
        } else {
          look = await this.#woken.next(() => this.#look(from))
        }
      }
      look ??= this.#look(from)
      const { promised } = look
      const [horizons, page] = await look.found
      // A position above what is committed is somebody's junk, or any position: the horizon has to come as far as all
      // that is there. (It may not be seen yet because an append holds it back, of whose rollback nobody is notified.)
      this.#expected = Math.max(this.#expected, Math.min(promised, horizons.committed))
      // Nor will one come that nobody holds back: it was rolled back.
      if (!horizons.isHeldBack(this.#ports.keys)) this.#expected = 0
      this.#horizon = Math.max(this.#horizon, horizons.of(this.#ports.keys))
      if (this.#horizon > from) {
        const fresh = from >= 0 ? page?.(this.#horizon) : undefined
        if (fresh) this.#ring.push(fresh)
        // The first of several notifications began the look; it may have found what the others tell of.
        if (!this.#unsure && this.#promised <= this.#horizon) this.#seen = this.#wakes
        return fresh
      }
    }
  }

  /** Begins one, for all wakes so far. */
  #look(from: number): FetchedHorizon {
    const [promised, unsure] = [this.#promised, this.#unsure]
    this.#seen = this.#wakes
    this.#promised = 0
    this.#unsure = false
    const look = () => this.#ports.fetchHorizon(from, unsure ? 0 : promised)
    const found = retryForever(look, this.#patience, from < 0 ? isTransientAtStart : isTransient)
    return { promised, found }
  }

  get #patience() {
    const { clock, logger, retries, scope } = this.#ports
    return { signal: this.#closing.signal, clock, logger, retries, scope }
  }
}
