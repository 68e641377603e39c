import { abortable, abortWith, sharedController } from '../core/abort.ts'
import { ClosedError } from '../core/errors.ts'
import type { Queries, Statement } from '../database/database.ts'
import { isTransientAtStart } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { READS } from '../database/retry-reporter.ts'
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

/** Events of one query at most. */
export const PAGE_SIZE = 1_000

export interface LiveFeed extends Pick<Feed, 'next' | 'close'> {
  /** The highest horizon seen. */
  horizon(): number
  /** Whether an open append holds back what is committed beyond it. */
  held(): boolean
  /** Resolves once that is known, which may be long before there is a page. */
  begun(): Promise<void>
}

interface SharedTail {
  tail: Promise<Tail>
  /** Once it is there. */
  opened?: Tail
  observers: number
  close(): void
}

/** What is live in this process: one listener, one poll timer, one look at the horizons, one tail a selection. */
export class Live {
  readonly listener: Listener
  readonly budget: Budget
  readonly #db: Queries
  #horizons: HorizonReader
  readonly #scope: Statement
  readonly #tails = new Map<string, SharedTail>()
  readonly #closing = sharedController()
  readonly #saw: (position: number) => void
  #endPoll = () => {}

  /** Without a line: poll only. `saw` is told the positions that were handed out. */
  constructor(db: Queries, line?: ListenConnection, saw: (position: number) => void = () => {}) {
    this.#db = db
    this.#saw = saw
    this.listener = new Listener(db, line)
    this.budget = new Budget(db.settings.maxBufferedBytes)
    this.#horizons = new HorizonReader(db)
    this.#scope = db.file('scope')
    db.timeline.onLoss(() => this.#restart())
    db.timeline.onEmptied(() => this.#forget())
  }

  /** Pages of a selection from `after` on, without end. The caller closes it. */
  follow(selection: Selection, after: number): LiveFeed {
    if (this.#closing.signal.aborted) throw new ClosedError()
    const shared = this.#tails.get(selection.key) ?? this.#start(selection)
    shared.observers++
    let tail: Tail | undefined
    const closing = new AbortController()
    // Without waiting where there is nothing to wait for: a page is asked for before the consumer is given the last one.
    const read = async (from: number, signal: AbortSignal) => {
      tail ??= await abortable(shared.tail, signal)
      return tail.read(from, signal)
    }
    const more = (position: number) => tail !== undefined && position < tail.horizon
    const feed = new Feed(read, after, more, this.budget)
    const close = feed.close.bind(feed)
    // Where the store has gone back, `after` means nothing any more.
    const { current } = this.#db.timeline
    const lost = () => close(current.reason)
    current.addEventListener('abort', lost)
    let open = true
    return Object.assign(feed, {
      horizon: () => tail?.horizon ?? after,
      held: () => tail?.held ?? false,
      begun: async () => {
        const tail = await abortable(shared.tail, closing.signal)
        await tail.begun(closing.signal)
      },
      close: () => {
        current.removeEventListener('abort', lost)
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
    const waiting = retryPolicy(this.#db, opening.signal, READS)
    const { current } = this.#db.timeline
    const horizons = this.#horizons
    const look: TailPorts['fetchHorizon'] = (after, promised) =>
      // A poll finds nothing, as a rule: no page is asked for before there is one.
      promised === 0 ? horizons.fetch() : horizons.fetch((client) => pages.fastPath(after, PAGE_SIZE, client))
    const deafen: (() => void)[] = []
    let closed = false
    const open = async () => {
      const find = () => this.#db.query(this.#scope, [selection.categories])
      const scope = await retryForever(find, waiting, isTransientAtStart)
      const glance = makeFastPath(pages, look, PAGE_SIZE, (event) => this.#db.timeline.saw(event, current))
      const tail = new Tail({
        fetchHorizon: async (after, promised) => {
          const seen = await glance(after, promised)
          this.#saw(seen[0].head)
          return seen
        },
        page: (after, until) => pages.forward(after, until, PAGE_SIZE),
        keys: scope.map(([, key]) => Number(key)),
        budget: this.budget,
        clock: waiting.clock,
        logger: waiting.logger,
        retries: waiting.retries,
        scope: waiting.scope,
      })
      shared.opened = tail
      if (closed) tail.close()
      else
        for (const [channel] of scope)
          deafen.push(this.listener.on(channel!, (payload) => tail.wake(position(payload))))
      return tail
    }
    const shared: SharedTail = {
      tail: open(),
      observers: 0,
      close: () => {
        closed = true
        opening.abort()
        if (this.#tails.get(selection.key) === shared) this.#tails.delete(selection.key)
        for (const off of deafen) off()
        shared.tail.then((tail) => tail.close()).catch(() => {})
        if (this.#tails.size === 0) this.#endPoll()
      },
    }
    // One that could not be opened is not kept: the next observer tries again.
    shared.tail.catch(() => this.#tails.get(selection.key) === shared && this.#tails.delete(selection.key))
    if (this.#tails.size === 0) {
      this.#endPoll() // that of a tail which could not be opened, and is not closed yet
      this.#endPoll = this.#db.clock.every(this.#db.settings.pollIntervalMs, () => this.#wakeAll())
    }
    this.#tails.set(selection.key, shared)
    return shared
  }

  /** When the store has gone back, all that is known here is void; `horizons` too, which remembers the head. */
  #restart(): void {
    for (const shared of [...this.#tails.values()]) shared.close()
    this.#horizons = new HorizonReader(this.#db)
  }

  /** Events that are kept here are no longer in the store. */
  #forget(): void {
    for (const { opened } of this.#tails.values()) opened?.forget()
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

/** Anybody may send anything on our channels: what is no position means: look. */
function position(payload: string | null): number | null {
  if (payload === null) return ANY_POSITION
  const number = Number(payload)
  return Number.isSafeInteger(number) && number > 0 ? number : null
}
