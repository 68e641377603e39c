// Reads the events of a store in memory.
import { randomBytes } from 'node:crypto'
import { checkStream } from '../append/request.ts'
import { signSeen } from '../append/seen.ts'
import { Condition } from '../core/condition.ts'
import { HistoryLostError } from '../core/errors.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import { modelOf } from '../events/event.ts'
import type { EventQuery } from '../events/query.ts'
import { checkQuery } from '../events/query.ts'
import type { Selection, Selector } from '../events/selector.ts'
import { select } from '../events/selector.ts'
import type { AnyCategory, SelectedEvent } from '../events/types.ts'
import { Feed } from '../live/feed.ts'
import type { OpenSource } from '../live/observer.ts'
import type { Page } from '../read/page.ts'
import type { QueryOptions, QueryResult } from '../read/query.ts'
import { queryOptionsSchema, viewOfCategories } from '../read/query.ts'
import type { LoadOptions, Reader, ReadOptions, ReadResult, StreamPage } from '../read/reader.ts'
import { loadOptionsSchema, readOptionsSchema } from '../read/reader.ts'
import type { MemoryLog } from './log.ts'

/** The largest number of events in a page. */
const PAGE_SIZE = 1_000

/** Reads a log in memory. Its head is the horizon, because every event in it is committed. */
export class MemoryReader implements Pick<Reader, 'load' | 'loadPage' | 'read'> {
  readonly #log: MemoryLog
  readonly #appended = new Condition()

  constructor(log: MemoryLog) {
    this.#log = log
  }

  async load(stream: StreamRef, options: LoadOptions = {}): Promise<RecordedEvent[]> {
    const ref = checkStream(stream)
    const { fromVersion, toVersion, direction, limit } = parse(loadOptionsSchema, options, 'options')
    const range = this.#log.load(ref, fromVersion, toVersion)
    const events = (direction === 'forward' ? range : range.reverse()).slice(0, limit)
    const model = modelOf(stream)
    return model ? events.map((event) => model.toReader(event)) : events
  }

  async loadPage(stream: StreamRef, options?: LoadOptions): Promise<StreamPage> {
    return { events: await this.load(stream, options), more: false }
  }

  async read(selector: Selector, options: ReadOptions = {}): Promise<ReadResult> {
    const selection = select(selector)
    const horizon = this.#log.head
    const { after, until = horizon, limit, direction } = parse(readOptionsSchema, options, 'options')
    const forward = direction === 'forward'
    const end = Math.min(until, horizon)
    const events = this.#log.select(selection, after, end, limit, forward ? 'first' : 'last')
    if (!forward) events.reverse()
    const last = events.length === limit ? events.at(-1) : undefined
    const position = forward ? (last?.position ?? Math.max(after, end)) : last ? last.position - 1 : after
    return { events: selection.view ? events.map(selection.view) : events, position, horizon }
  }

  readonly key = randomBytes(32)
  /** With this key the store signs what a query has seen. */
  readonly seenKey = async () => this.key

  /** As `meow.query`. */
  async query<C extends AnyCategory>(
    asked: EventQuery,
    options: QueryOptions<C> = {},
  ): Promise<QueryResult<SelectedEvent<C>>> {
    const items = checkQuery(asked)
    const { categories } = parse(queryOptionsSchema, options, 'options')
    const view = viewOfCategories(categories, 'options.categories')
    const events = this.#log.query(items)
    const seen = signSeen(this.key, { horizon: this.#log.head, positions: [] })
    return { events: (view ? events.map(view) : events) as SelectedEvent<C>[], seen }
  }

  /** Opens a feed of pages for an observer. */
  readonly open: OpenSource = async (selection, from, live) => {
    const { head } = this.#log
    const until = live ? Infinity : head
    const read = async (after: number, signal: AbortSignal) => {
      while (after < until && this.#log.head <= after) await this.#appended.nextUnless(signal)
      return this.#page(selection, after)
    }
    const since = typeof from === 'object' && 'since' in from ? this.#log.positionAt(new Date(from.since)) : 0
    const after = from === 'start' ? 0 : from === 'end' ? head : 'after' in from ? from.after : since
    if (after > head) throw new HistoryLostError(after, head)
    return { feed: new Feed(read, after, (position) => position < Math.min(until, this.#log.head)), until }
  }

  #page(selection: Selection, after: number): Page {
    const until = Math.max(after, this.#log.head)
    const events = this.#log.select(selection, after, until, PAGE_SIZE, 'first')
    const position = events.length === PAGE_SIZE ? events.at(-1)!.position : until
    return { events, hashes: [], sizes: [], bytes: 0, after, position } // no sizes: the events are in memory anyway
  }

  /** Wakes the readers that wait at the end of the log. Called after each append. */
  wake(): void {
    this.#appended.fire()
  }
}
