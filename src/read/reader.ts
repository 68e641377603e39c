import type pg from 'pg'
import { z } from 'zod'
import { checkStream } from '../append/request.ts'
import type { Queries, Statement } from '../database.ts'
import { HistoryLostError } from '../errors.ts'
import type { RecordedEvent, StreamRef } from '../event.ts'
import { COMPRESSION, modelOf, toEvent } from '../event.ts'
import { client, parse, position, version } from '../options.ts'
import { PAGE_SHARE } from './budget.ts'
import type { Page } from './page.ts'
import { PageReader } from './page-reader.ts'
import type { Selection, Selector } from './selector.ts'
import { select } from './selector.ts'

/** Which events of a stream. */
export interface LoadOptions {
  /** Inclusive; default 0, minimum 0. */
  fromVersion?: number
  /** Exclusive; default: to the end. */
  toVersion?: number
  /** Default `'forward'`; `'backward'`: the same range, newest first. */
  direction?: 'forward' | 'backward'
  /** Events at most; default: all, minimum 1. */
  limit?: number
  /** Read inside this client's transaction. */
  client?: pg.ClientBase
}

/** Which page. */
export interface ReadOptions {
  /** Exclusive; default 0: from the start, minimum 0. */
  after?: number
  /** Inclusive; default, and at most: the horizon. */
  until?: number
  /** Events at most; default 512, minimum 1, maximum 100_000. Fewer, if they would be larger than `maxBufferedBytes` together. */
  limit?: number
  /** Default `'forward'`; `'backward'`: the same range, newest first. */
  direction?: 'forward' | 'backward'
  /** Read inside this client's transaction, which must be READ COMMITTED. */
  client?: pg.ClientBase
}

/** A page of events. */
export interface ReadResult<E = RecordedEvent> {
  /** In the order that was asked for. */
  events: E[]
  /** Resume after this (backward: it is the `until` of the next page). */
  position: number
  /** The position up to which, for this selector, nothing can still appear. */
  horizon: number
}

/** What a category holds. */
export interface CategoryInfo {
  category: string
  /** How many. */
  streams: number
  /** How many. */
  events: number
  /** Of the newest of its events. */
  lastPosition: number
}

const direction = z.enum(['forward', 'backward']).default('forward')
const limit = z.number().int().min(1)
export const loadOptions = z.strictObject({
  fromVersion: version.default(0),
  toVersion: version.optional(),
  direction,
  limit: limit.optional(),
  client: client.optional(),
})
export const readOptions = z.strictObject({
  after: position.default(0),
  until: position.optional(),
  limit: limit.max(100_000).default(512),
  direction,
  client: client.optional(),
})

/** Versions that one query of `load` reads at most, so that a long stream never runs into the query timeout. */
const LOAD_PAGE = 10_000

/** A part of a stream. */
export interface StreamPage {
  readonly events: RecordedEvent[]
  /** There may be more of what was asked for. */
  readonly more: boolean
}

export class Reader {
  readonly #db: Queries
  readonly #load: Record<'forward' | 'backward', Statement>
  readonly #horizon: Statement
  readonly #categories: Statement
  readonly #head: Statement

  constructor(db: Queries) {
    this.#db = db
    this.#load = { forward: db.file('load'), backward: db.file('load_backward') }
    this.#horizon = db.file('horizon')
    this.#categories = db.file('categories')
    this.#head = db.file('head')
  }

  async load(stream: StreamRef, options: LoadOptions = {}): Promise<RecordedEvent[]> {
    let range = parse(loadOptions, options, 'options')
    const { limit = Infinity, direction } = range
    const { events, ...first } = await this.#page(stream, range)
    for (let { more } = first; more; ) {
      const last = events.at(-1)!.version
      const rest = direction === 'forward' ? { fromVersion: last + 1 } : { toVersion: last }
      range = { ...range, ...rest, limit: limit - events.length }
      const page = await this.#page(stream, range)
      for (const event of page.events) events.push(event)
      more = page.more
    }
    return events
  }

  /** The first events that `load` would return, as many as one query reads: a long stream need not be in memory whole. */
  async loadPage(stream: StreamRef, options: LoadOptions = {}): Promise<StreamPage> {
    return this.#page(stream, parse(loadOptions, options, 'options'))
  }

  async #page(stream: StreamRef, range: z.output<typeof loadOptions>): Promise<StreamPage> {
    const { category, streamId } = checkStream(stream)
    const { fromVersion, toVersion = 2_147_483_647, direction, limit = Infinity, client } = range
    if (fromVersion >= toVersion) return { events: [], more: false }
    const size = Math.min(limit, LOAD_PAGE)
    const maxBytes = Math.floor(this.#db.settings.maxBufferedBytes / PAGE_SHARE)
    const values = [category, streamId, fromVersion, toVersion, size, maxBytes]
    const { rows, bytes, isFull } = await this.#db.page(this.#load[direction], values, maxBytes, client)
    const events = rows.map((row) => toEvent(row))
    const isWhole = rows.length < size && !isFull && COMPRESSION * bytes < maxBytes
    const model = modelOf(stream)
    const seen = model ? events.map((event) => model.toReader(event)) : events
    return { events: seen, more: !isWhole && events.length < limit }
  }

  async read(selector: Selector, options: ReadOptions = {}): Promise<ReadResult> {
    const selection = select(selector)
    const { after, until = Infinity, limit, direction, client } = parse(readOptions, options, 'options')
    // The horizon first, the events in a later snapshot: together they could miss what commits in between.
    const horizon = await this.horizon(selection, client)
    let left = this.#db.settings.maxBufferedBytes
    const pages = new PageReader(this.#db, selection, { page: (read) => read(left) })
    const end = Math.min(until, horizon)
    const events: RecordedEvent[] = []
    const take = (page: Page) => {
      for (const event of page.events) events.push(event)
      left -= page.bytes
      return page.position
    }
    let position = direction === 'forward' ? after : end
    if (direction === 'forward')
      while (events.length < limit && left > 0 && position < end)
        position = take(await pages.forward(position, end, limit - events.length, client))
    else
      while (events.length < limit && left > 0 && position > after)
        position = take(await pages.backward(after, position, limit - events.length, client))
    return {
      events: selection.view ? events.map(selection.view) : events,
      position: Math.max(position, after),
      horizon,
    }
  }

  /** Whether positions have come that far; throws where not. */
  async reaches(position: number): Promise<void> {
    const [row] = await this.#db.query(this.#head)
    const head = Number(row![0])
    if (position > head) throw new HistoryLostError(position, head)
  }

  async horizon({ categories }: Selection, client?: pg.ClientBase): Promise<number> {
    const [[horizon]] = (await this.#db.query(this.#horizon, [categories], client)) as [[string]]
    return Number(horizon)
  }

  async categories(): Promise<CategoryInfo[]> {
    const rows = await this.#db.query(this.#categories)
    return rows.map(([category, streams, events, lastPosition]) => ({
      category: category!,
      streams: Number(streams),
      events: Number(events),
      lastPosition: Number(lastPosition),
    }))
  }
}
