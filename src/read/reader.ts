import type pg from 'pg'
import { z } from 'zod'
import { checkStream } from '../append/request.ts'
import type { Queries, Row, Statement } from '../database.ts'
import { HistoryLostError } from '../errors.ts'
import type { RecordedEvent, StreamRef } from '../event.ts'
import { modelOf, toEvent } from '../event.ts'
import { client, parse, position, version } from '../options.ts'
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

/** A category that has events. */
export interface CategoryName {
  category: string
  /** The position of the newest of its events. */
  lastPosition: number
}

/** What a category holds. */
export interface CategoryInfo extends CategoryName {
  /** How many streams. */
  streams: number
  /** How many events. */
  events: number
}

/** What of the categories `meow.categories()` counts. */
export interface CategoriesOptions {
  /**
   * Count only events above this position, and the streams that began there: it takes as long as reading these. Default 0: all.
   */
  after?: number
  /** Count only events up to this position. Default: to the end. A horizon, for a count to which the next one is added. */
  until?: number
  /** `false`: only names and last positions, which takes two index probes a category. Default true. */
  counts?: boolean
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

export const categoriesOptions = z
  .strictObject({ after: position.default(0), until: position.optional(), counts: z.boolean().default(true) })
  .refine(({ after, until, counts }) => counts || (after === 0 && until === undefined), {
    path: ['counts'],
    message: 'can not be false with after or until: without counts all categories are listed',
  })

/** Positions that one query counts at most, so that a long range never runs into the query timeout. */
const COUNT_PAGE = 100_000

/**
 * Events that one query of `load` reads at most, so that a long stream never runs into the query timeout. The next query is
 * sent before these are parsed, so that server and process work at the same time: 300,000 events take half as long.
 */
const LOAD_PAGE = 2_000

export class Reader {
  readonly #db: Queries
  readonly #load: Record<'forward' | 'backward', Statement>
  readonly #horizon: Statement
  readonly #categories: Record<'all' | 'names' | 'between', Statement>
  readonly #head: Statement

  constructor(db: Queries) {
    this.#db = db
    this.#load = { forward: db.file('load'), backward: db.file('load_backward') }
    this.#horizon = db.file('horizon')
    this.#categories = {
      all: db.file('categories'),
      names: db.file('category_names'),
      between: db.file('category_counts'),
    }
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
    const events: RecordedEvent[] = []
    let [from, to] = [fromVersion, toVersion ?? 2_147_483_647]
    let left = limit
    const page = async (): Promise<Row[]> => {
      const size = Math.min(left, LOAD_PAGE)
      if (size === 0 || from >= to) return []
      const rows = await this.#db.query(this.#load[direction], [category, streamId, from, to, size], client)
      left = rows.length < size ? 0 : left - size
      if (direction === 'forward') from = versionOf(rows.at(-1)) + 1
      else to = versionOf(rows.at(-1))
      return rows
    }
    for (let rows = await page(); rows.length > 0; ) {
      const next = page()
      next.catch(() => {}) // it is awaited below, unless an event can't be read
      for (const row of rows) events.push(toEvent(row, category, streamId))
      rows = await next
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
    const head = await this.#lastPosition()
    if (position > head) throw new HistoryLostError(position, head)
  }

  async horizon({ categories }: Selection, client?: pg.ClientBase): Promise<number> {
    const [[horizon]] = (await this.#db.query(this.#horizon, [categories], client)) as [[string]]
    return Number(horizon)
  }

  async categories(options: CategoriesOptions = {}): Promise<(CategoryName | CategoryInfo)[]> {
    const { after, until, counts } = parse(categoriesOptions, options, 'options')
    if (!counts) {
      const rows = await this.#db.query(this.#categories.names)
      return rows.map(([category, lastPosition]) => ({
        category: category!,
        lastPosition: Number(lastPosition),
      }))
    }
    if (after === 0) return (await this.#db.query(this.#categories.all, [until ?? null])).map(categoryInfo)
    const end = Math.min(until ?? Infinity, await this.#lastPosition())
    const found = new Map<string, CategoryInfo>()
    for (let from = after; from < end; from += COUNT_PAGE) {
      const to = Math.min(from + COUNT_PAGE, end)
      const rows = await this.#db.query(this.#categories.between, [from, to])
      for (const row of rows) addCounts(found, categoryInfo(row))
    }
    return [...found.values()].sort(byName)
  }

  async #lastPosition(): Promise<number> {
    const [row] = await this.#db.query(this.#head)
    return Number(row![0])
  }
}

const categoryInfo = ([category, streams, events, lastPosition]: Row): CategoryInfo => ({
  category: category!,
  streams: Number(streams),
  events: Number(events),
  lastPosition: Number(lastPosition),
})

/** Adds what was counted later, above the positions that were counted before. */
export function addCounts(found: Map<string, CategoryInfo>, more: CategoryInfo): void {
  const known = found.get(more.category)
  const { streams, events } = known ?? { streams: 0, events: 0 }
  found.set(more.category, { ...more, streams: streams + more.streams, events: events + more.events })
}

/** By their bytes, as the database has them. */
const byName = (a: CategoryInfo, b: CategoryInfo) =>
  Buffer.compare(Buffer.from(a.category), Buffer.from(b.category))

const versionOf = (row: Row | undefined): number => Number(row?.[3])
