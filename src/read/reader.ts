import type pg from 'pg'
import { z } from 'zod'
import { checkStream } from '../append/request.ts'
import type { Queries, Statement } from '../database.ts'
import { HistoryLostError } from '../errors.ts'
import type { RecordedEvent, StreamRef } from '../event.ts'
import { modelOf, toEvent, toPosition } from '../event.ts'
import { client, MAX_INT, parse, position, version } from '../options.ts'
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
  /** Events at most; default 512, minimum 1, maximum 100_000. */
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
    const { category, streamId } = checkStream(stream)
    const {
      fromVersion,
      toVersion,
      direction,
      limit = Infinity,
      client,
    } = parse(loadOptions, options, 'options')
    let from = fromVersion
    let to = toVersion ?? MAX_INT + 1
    const events: RecordedEvent[] = []
    while (events.length < limit && from < to) {
      const size = Math.min(limit - events.length, LOAD_PAGE)
      const rows = await this.#db.query(this.#load[direction], [category, streamId, from, to, size], client)
      for (const row of rows) events.push(toEvent(row))
      if (rows.length < size) break
      if (direction === 'forward') from = events.at(-1)!.version + 1
      else to = events.at(-1)!.version
    }
    const model = modelOf(stream)
    return model ? events.map((event) => model.toReader(event)) : events
  }

  async read(selector: Selector, options: ReadOptions = {}): Promise<ReadResult> {
    const selection = select(selector)
    const { after, until = Infinity, limit, direction, client } = parse(readOptions, options, 'options')
    // The horizon first, the events in a later snapshot: together they could miss what commits in between.
    const horizon = await this.horizon(selection, client)
    const pages = new PageReader(this.#db, selection)
    const end = Math.min(until, horizon)
    const events: RecordedEvent[] = []
    const seen = () => (selection.view ? events.map(selection.view) : events)
    if (direction === 'backward') {
      let low = end
      while (events.length < limit && low > after) {
        const page = await pages.backward(after, low, limit - events.length, client)
        for (const event of page.events) events.push(event)
        low = page.position
      }
      return { events: seen(), position: Math.max(low, after), horizon }
    }
    let position = after
    while (events.length < limit && position < end) {
      const page = await pages.forward(position, end, limit - events.length, client)
      for (const event of page.events) events.push(event)
      position = page.position
    }
    return { events: seen(), position, horizon }
  }

  /** Whether positions have come that far; throws where not. */
  async reaches(position: number): Promise<void> {
    const [row] = await this.#db.query(this.#head)
    const head = toPosition(row![0]!)
    if (position > head) throw new HistoryLostError(position, head)
  }

  async horizon({ categories }: Selection, client?: pg.ClientBase): Promise<number> {
    const [[horizon]] = (await this.#db.query(this.#horizon, [categories], client)) as [[string]]
    return toPosition(horizon)
  }

  async categories(): Promise<CategoryInfo[]> {
    const rows = await this.#db.query(this.#categories)
    return rows.map(([category, streams, events, lastPosition]) => ({
      category: category!,
      streams: Number(streams),
      events: Number(events),
      lastPosition: toPosition(lastPosition!),
    }))
  }
}
