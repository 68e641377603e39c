import { abortable, abortWith, sharedController } from '../core/abort.ts'
import { ClosedError } from '../core/errors.ts'
import type { Queries } from '../database/database.ts'
import { isTransientAtStart } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { READS } from '../database/retry-reporter.ts'
import { statements } from '../database/statements.ts'
import type { Selection } from '../events/selector.ts'
import type { ListenConnection } from '../notify/listen-connection.ts'
import { Listener } from '../notify/listener.ts'
import { Budget } from '../read/budget.ts'
import { HorizonReader } from '../read/horizon.ts'
import { PageReader } from '../read/page-reader.ts'
import { makeFastPath } from './fast-path.ts'
import { Feed } from './feed.ts'
import type { TailPorts } from './tail.ts'
import { ANY_POSITION, Tail } from './tail.ts'

/** How many events one query reads at most. */
export const PAGE_SIZE = 1_000

export interface LiveFeed extends Pick<Feed, 'next' | 'close'> {
  /** The highest horizon that was fetched. */
  horizon(): number
  /** Whether an open append holds back committed events. */
  isHeldBack(): boolean
  /** Resolves once the horizon is known. The first page may come much later, if there are no new events. */
  horizonKnown(): Promise<void>
}

interface SharedTail {
  tail: Promise<Tail>
  /** The tail, once it is open. */
  opened?: Tail
  observers: number
  close(): void
}

/** What all live reads of a store share in this process: one listener, one poll timer, one horizon reader, and one tail for each selection. */
export class Live {
  readonly listener: Listener
  readonly budget: Budget
  readonly #db: Queries
  #horizons: HorizonReader
  readonly #tails = new Map<string, SharedTail>()
  readonly #closing = sharedController()
  readonly #onPosition: (position: number) => void
  #endPoll = () => {}

  /** Without `connection` the store only polls. `onPosition` is called with the highest position that is known to be assigned. */
  constructor(db: Queries, connection?: ListenConnection, onPosition: (position: number) => void = () => {}) {
    this.#db = db
    this.#onPosition = onPosition
    this.listener = new Listener(db, connection)
    this.budget = new Budget(db.settings.maxBufferedBytes)
    this.#horizons = new HorizonReader(db)
    db.timeline.onLoss(() => this.#restart())
    db.timeline.onEmptied(() => this.#clearCaches())
  }

  /** Pages of a selection after the position `after`, without end. The caller must close the feed. */
  follow(selection: Selection, after: number): LiveFeed {
    if (this.#closing.signal.aborted) throw new ClosedError()
    const shared = this.#tails.get(selection.key) ?? this.#start(selection)
    shared.observers++
    let tail: Tail | undefined
    const closing = new AbortController()
    // An open tail is read at once, without waiting a tick.
    const read = async (from: number, signal: AbortSignal) => {
      tail ??= await abortable(shared.tail, signal)
      return tail.read(from, signal)
    }
    const more = (position: number) => tail !== undefined && position < tail.horizon
    const feed = new Feed(read, after, more, this.budget)
    const close = feed.close.bind(feed)
    // If the server has lost history, the position `after` means nothing any more.
    const { current } = this.#db.timeline
    const endLost = () => close(current.reason)
    current.addEventListener('abort', endLost)
    let open = true
    return Object.assign(feed, {
      horizon: () => tail?.horizon ?? after,
      isHeldBack: () => tail?.isHeldBack ?? false,
      horizonKnown: async () => {
        const tail = await abortable(shared.tail, closing.signal)
        await tail.horizonKnown(closing.signal)
      },
      close: () => {
        current.removeEventListener('abort', endLost)
        close()
        closing.abort()
        if (open && --shared.observers === 0) shared.close()
        open = false
      },
    })
  }

  #start(selection: Selection): SharedTail {
    const pages = new PageReader(this.#db, selection, this.budget)
    const opening = abortWith(this.#closing.signal)
    const policy = retryPolicy(this.#db, opening.signal, READS)
    const { current } = this.#db.timeline
    const horizons = this.#horizons
    const fetchHorizon: TailPorts['fetchHorizon'] = (after, promised) =>
      // A poll usually finds no new events, so it asks for no page.
      promised === 0 ? horizons.fetch() : horizons.fetch((client) => pages.fastPath(after, PAGE_SIZE, client))
    const stopListening: (() => void)[] = []
    let closed = false
    const open = async () => {
      const readScope = () => this.#db.query(statements.scope, { categories: selection.categories })
      const scope = await retryForever(readScope, policy, isTransientAtStart)
      const fetchFast = makeFastPath(pages, fetchHorizon, PAGE_SIZE, (event) =>
        this.#db.timeline.saw(event, current),
      )
      const tail = new Tail({
        fetchHorizon: async (after, promised) => {
          const fetched = await fetchFast(after, promised)
          this.#onPosition(fetched[0].head)
          return fetched
        },
        page: (after, until) => pages.forward(after, until, PAGE_SIZE),
        keys: scope.map(([, key]) => Number(key)),
        budget: this.budget,
        clock: policy.clock,
        logger: policy.logger,
        retries: policy.retries,
        scope: policy.scope,
      })
      shared.opened = tail
      if (closed) tail.close()
      else
        for (const [channel] of scope)
          stopListening.push(this.listener.on(channel, (payload) => tail.wake(position(payload))))
      return tail
    }
    const shared: SharedTail = {
      tail: open(),
      observers: 0,
      close: () => {
        closed = true
        opening.abort()
        if (this.#tails.get(selection.key) === shared) this.#tails.delete(selection.key)
        for (const stop of stopListening) stop()
        shared.tail.then((tail) => tail.close()).catch(() => {})
        if (this.#tails.size === 0) this.#endPoll()
      },
    }
    // A tail that could not be opened is forgotten, so that the next observer tries again.
    shared.tail.catch(() => this.#tails.get(selection.key) === shared && this.#tails.delete(selection.key))
    if (this.#tails.size === 0) {
      this.#endPoll() // the timer of a tail that could not be opened and is not closed yet
      this.#endPoll = this.#db.clock.every(this.#db.settings.pollIntervalMs, () => this.#wakeAll())
    }
    this.#tails.set(selection.key, shared)
    return shared
  }

  /** The server has lost history: nothing known here is valid any more. The horizon reader remembers the head, so it is new too. */
  #restart(): void {
    for (const shared of [...this.#tails.values()]) shared.close()
    this.#horizons = new HorizonReader(this.#db)
  }

  /** The store was emptied: cached events must not be served any more. */
  #clearCaches(): void {
    for (const { opened } of this.#tails.values()) opened?.clearCache()
  }

  #wakeAll(): void {
    for (const { opened } of this.#tails.values()) opened?.wake(null)
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError())
    this.#endPoll()
    for (const shared of [...this.#tails.values()]) shared.close()
    await this.listener.close()
  }
}

/** The position in a notification. Anyone may send anything on a channel; if it is not a position, null: fetch the horizon. */
function position(payload: string | null): number | null {
  if (payload === null) return ANY_POSITION
  const number = Number(payload)
  return Number.isSafeInteger(number) && number > 0 ? number : null
}
