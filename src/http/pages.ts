// What a feed reads of the store: single pages, and live pages from the tails that all connections share.
import { abortable, abortWith } from '../core/abort.ts'
import { after as later } from '../core/clock.ts'
import { Semaphore } from '../core/semaphore.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Selection } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import type { Meow } from '../meow.ts'
import { pagesOf } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import { PageReader } from '../read/page-reader.ts'
import { Reader } from '../read/reader.ts'
import { Problem } from './problem.ts'

/** The limits of a page, in events and, unless it is a single event, in bytes (about). */
const PAGE_EVENTS = 1_000
const PAGE_BYTES = 1_048_576
/** How many times a request reads on if it has found nothing yet. */
const MAX_EMPTY = 20
/** How many pages are read at the same time: the rest of the application needs connections of the pool as well. */
const READERS = 4
/** How long a live read may take to begin, in ms. */
const OPEN_MS = 10_000
/** A tail without connections is kept for a while: the next long poll continues it without a query. */
const LINGER_MS = 10_000
const MAX_LINGERING = 100

/** A page that was read once. */
export interface ReadPage {
  readonly events: readonly RecordedEvent[]
  readonly after: number
  /** The position after which to continue. */
  readonly position: number
  readonly horizon: number
}

/** Live pages of a selection. */
export interface LivePages {
  /** The position after which the first page begins. */
  readonly after: number
  next(): Promise<Page>
  /** The highest position that is known to be complete; -1 if none is known. */
  horizon(): number
  horizonKnown(): Promise<void>
  close(): void
}

export class Pages {
  readonly #meow: Meow
  readonly #readers = new Semaphore(READERS)
  readonly #followers = new Map<string, number>()
  readonly #lingering = new Map<string, () => void>()
  readonly #lingerMs: number

  constructor(meow: Meow, lingerMs = LINGER_MS) {
    this.#meow = meow
    this.#lingerMs = lingerMs
  }

  /** One page, up to the horizon or `until`. Nothing more is read when the signal aborts: it then rejects with its reason. */
  read(selection: Selection, from: From, signal: AbortSignal, until = Infinity): Promise<ReadPage> {
    return this.#readers.use(() =>
      this.#meow.use(async (db) => {
        signal.throwIfAborted() // the client may have gone while it waited for its turn
        const reader = new Reader(db)
        const horizon = await reader.horizon(selection)
        const end = Math.min(horizon, until)
        let after = 0
        if (from === 'end') after = horizon
        else if (typeof from === 'object' && 'since' in from)
          after = await reader.positionAt(new Date(from.since), selection)
        else if (typeof from === 'object') after = from.after
        if (after > horizon && after > db.timeline.position) await reader.reaches(after)
        const pages = new PageReader(db, selection, pagesOf(PAGE_BYTES))
        let position = after
        for (let reads = 0; position < end && reads < MAX_EMPTY; reads++) {
          signal.throwIfAborted()
          const page = await pages.forward(position, end, PAGE_EVENTS)
          position = page.position
          if (page.events.length > 0) return { events: page.events, after, position, horizon }
        }
        return { events: [], after, position, horizon }
      }),
    )
  }

  /** Pages as they appear, without end. The caller must close them. @throws Problem 503 if the store does not answer in time */
  async follow(selection: Selection, from: From, signal: AbortSignal): Promise<LivePages> {
    const opening = abortWith(signal)
    const cancel = later(OPEN_MS, () => opening.abort(new Problem(503, 'the store can not be read now')))
    try {
      const source = this.#meow.follow(selection, from, opening.signal)
      source.then(
        // It may arrive when nobody waits for it any more.
        ({ feed }) => opening.signal.aborted && feed.close(),
        () => {},
      )
      const { feed, after = 0 } = await abortable(source, opening.signal)
      const leave = this.#enter(selection.key, () => feed.close())
      return {
        after,
        next: () => feed.next(),
        horizon: () => feed.horizon?.() ?? -1,
        horizonKnown: async () => feed.horizonKnown?.(),
        close: leave,
      }
    } finally {
      cancel()
      if (!opening.signal.aborted) opening.abort() // it lets go of `signal`
    }
  }

  /** Counts a follower. The feed of the last one stays open for a while. */
  #enter(key: string, close: () => void): () => void {
    this.#lingering.get(key)?.()
    this.#followers.set(key, (this.#followers.get(key) ?? 0) + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      const others = this.#followers.get(key)! - 1
      if (others > 0) this.#followers.set(key, others)
      else this.#followers.delete(key)
      if (others > 0 || this.#lingering.size >= MAX_LINGERING) return close()
      const end = () => {
        cancel()
        this.#lingering.delete(key)
        close()
      }
      const cancel = later(this.#lingerMs, end, { ref: false })
      this.#lingering.set(key, end)
    }
  }
}
