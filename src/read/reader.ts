import { z } from 'zod'
import { checkStream } from '../append/request.ts'
import { HistoryLostError } from '../core/errors.ts'
import { clientSchema, positionSchema, versionSchema } from '../core/fields.ts'
import { MAX_INT } from '../core/numbers.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import type { RowOf } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import type { EventRow, RecordedEvent, StreamRef } from '../events/event.ts'
import { COMPRESSION, modelOf, toEvent, toPosition } from '../events/event.ts'
import type { Selection, Selector } from '../events/selector.ts'
import { select } from '../events/selector.ts'
import { PAGE_SHARE } from './budget.ts'
import type { Page } from './page.ts'
import { PageReader } from './page-reader.ts'

/** The range of events of a stream. */
export interface LoadOptions {
  /** Inclusive; default 0, minimum 0. */
  fromVersion?: number | undefined
  /** Exclusive; default: the end of the stream. */
  toVersion?: number | undefined
  /** Default `'forward'`; `'backward'`: the same range, newest first. */
  direction?: 'forward' | 'backward' | undefined
  /** The maximum number of events; default: all, minimum 1. */
  limit?: number | undefined
  /** Read inside this client's transaction. */
  client?: SqlClient | undefined
}

/** The range of a page. */
export interface ReadOptions {
  /** Exclusive; default 0: from the start, minimum 0. */
  after?: number | undefined
  /** Inclusive; default and maximum: the horizon. */
  until?: number | undefined
  /** Events at most; default 512, minimum 1, maximum 100_000. Fewer, if they would be larger than `maxBufferedBytes` together. */
  limit?: number | undefined
  /** Default `'forward'`; `'backward'`: the same range, newest first. */
  direction?: 'forward' | 'backward' | undefined
  /** Read inside this client's transaction, which must be READ COMMITTED. */
  client?: SqlClient | undefined
}

/** A page of events. */
export interface ReadResult<E = RecordedEvent> {
  /** The events in the order that was requested. */
  events: E[]
  /** The position after which to continue (backward: the `until` of the next page). */
  position: number
  /** The position up to which, for this selector, nothing can still appear. */
  horizon: number
}

/** A category that has events. */
export interface CategoryName {
  category: string
  /** The position of its newest event. */
  lastPosition: number
}

/** The counts of a category. */
export interface CategoryInfo extends CategoryName {
  /** The number of streams. */
  streams: number
  /** The number of events. */
  events: number
}

/** The options of `categories()`. */
export interface CategoriesOptions {
  /**
   * Count only events above this position, and the streams that began there: it takes as long as reading these. Default 0: all.
   */
  after?: number | undefined
  /** Count only events up to this position. Default: to the end. Pass a horizon, so that a later count can begin after it and be added. */
  until?: number | undefined
  /** `false`: only names and last positions, which takes two index probes a category. Default true. */
  counts?: boolean | undefined
}

const directionSchema = z.enum(['forward', 'backward']).default('forward')
const limitSchema = z.number().int().min(1)
export const loadOptionsSchema = z.strictObject({
  fromVersion: versionSchema.default(0),
  toVersion: versionSchema.optional(),
  direction: directionSchema,
  limit: limitSchema.optional(),
  client: clientSchema.optional(),
})
export const readOptionsSchema = z.strictObject({
  after: positionSchema.default(0),
  until: positionSchema.optional(),
  limit: limitSchema.max(100_000).default(512),
  direction: directionSchema,
  client: clientSchema.optional(),
})

export const categoriesOptionsSchema = z
  .strictObject({
    after: positionSchema.default(0),
    until: positionSchema.optional(),
    counts: z.boolean().default(true),
  })
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

/** Events are recorded in the years 1 to 9999. */
const [FIRST_MS, LAST_MS] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59Z')]

/** A part of a stream. */
export interface StreamPage {
  readonly events: RecordedEvent[]
  /** Whether more events may follow. */
  readonly more: boolean
}

/** The rows of one query of `load`. */
interface Part {
  readonly rows: readonly EventRow[]
  /** Whether more events may follow. */
  readonly more: boolean
  /** The range with which to continue. */
  readonly rest: Partial<z.output<typeof loadOptionsSchema>>
}

export class Reader {
  readonly #db: Queries

  constructor(db: Queries) {
    this.#db = db
  }

  async load(stream: StreamRef, options: LoadOptions = {}): Promise<RecordedEvent[]> {
    const checked = checkStream(stream)
    let range = parse(loadOptionsSchema, options, 'options')
    const events: RecordedEvent[] = []
    const next = async (): Promise<Part> => {
      const part = await this.#part(checked, range)
      range = { ...range, ...part.rest }
      return part
    }
    for (let part: Part | undefined = await next(); part; ) {
      const following: Promise<Part> | undefined = part.more ? next() : undefined
      following?.catch(() => {}) // it is awaited below, unless an event can't be read
      for (const event of eventsOf(stream, part.rows)) events.push(event)
      part = await following
    }
    return events
  }

  /** The first events that `load` would return, as many as one query reads, so that a long stream need not be in memory as a whole. */
  async loadPage(stream: StreamRef, options: LoadOptions = {}): Promise<StreamPage> {
    const { rows, more } = await this.#part(checkStream(stream), parse(loadOptionsSchema, options, 'options'))
    return { events: eventsOf(stream, rows), more }
  }

  async #part({ category, streamId }: StreamRef, range: z.output<typeof loadOptionsSchema>): Promise<Part> {
    const { fromVersion, toVersion = MAX_INT + 1, direction, limit = Infinity, client } = range
    if (fromVersion >= toVersion) return { rows: [], more: false, rest: {} }
    const size = Math.min(limit, LOAD_PAGE)
    const maxBytes = Math.floor(this.#db.settings.maxBufferedBytes / PAGE_SHARE)
    const statement = direction === 'forward' ? statements.load : statements.loadBackward
    const values = { category, streamId, fromVersion, toVersion, limit: size, maxBytes }
    const { rows, bytes, isFull } = await this.#db.page(statement, values, maxBytes, client)
    const isWhole = rows.length === 0 || (rows.length < size && !isFull && COMPRESSION * bytes < maxBytes)
    const more = !isWhole && rows.length < limit
    const last = versionOf(rows.at(-1))
    const rest = direction === 'forward' ? { fromVersion: last + 1 } : { toVersion: last }
    return {
      rows,
      more,
      rest: { ...rest, ...(range.limit === undefined ? {} : { limit: limit - rows.length }) },
    }
  }

  async read(selector: Selector, options: ReadOptions = {}): Promise<ReadResult> {
    const selection = select(selector)
    const { after, until = Infinity, limit, direction, client } = parse(readOptionsSchema, options, 'options')
    // First the horizon, then the events, in a later snapshot. In one snapshot they could miss an event that commits meanwhile.
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

  /** Throws if the store has not yet assigned this position. */
  async reaches(position: number): Promise<void> {
    const head = await this.#lastPosition()
    if (position > head) throw new HistoryLostError(position, head)
  }

  /** The position to start after, in order to read all events that were recorded at or after a moment. */
  async positionAt(since: Date, selection: Pick<Selection, 'categories'>): Promise<number> {
    // Open appends may still commit such events below committed ones, so never begin above the horizon.
    const horizon = await this.horizon(selection)
    const ms = Math.min(Math.max(since.getTime(), FIRST_MS), LAST_MS)
    const [row] = await this.#db.query(statements.positionAt, { since: new Date(ms).toISOString() })
    return Math.min(horizon, toPosition(row![0]))
  }

  async horizon({ categories }: Pick<Selection, 'categories'>, client?: SqlClient): Promise<number> {
    const [row] = await this.#db.query(statements.horizon, { categories }, client)
    return toPosition(row![0])
  }

  async categories(options: CategoriesOptions = {}): Promise<(CategoryName | CategoryInfo)[]> {
    const { after, until, counts } = parse(categoriesOptionsSchema, options, 'options')
    if (!counts) {
      const rows = await this.#db.query(statements.categoryNames, {})
      return rows.map(([category, lastPosition]) => ({ category, lastPosition: Number(lastPosition) }))
    }
    if (after === 0)
      return (await this.#db.query(statements.categories, { until: until ?? null })).map(categoryInfo)
    const end = Math.min(until ?? Infinity, await this.#lastPosition())
    const found = new Map<string, CategoryInfo>()
    for (let from = after; from < end; from += COUNT_PAGE) {
      const to = Math.min(from + COUNT_PAGE, end)
      const rows = await this.#db.query(statements.categoryCounts, { after: from, until: to })
      for (const row of rows) addCounts(found, categoryInfo(row))
    }
    return [...found.values()].sort(byName)
  }

  async #lastPosition(): Promise<number> {
    const [row] = await this.#db.query(statements.head, {})
    return toPosition(row![0])
  }
}

type CategoryRow = RowOf<typeof statements.categories.columns>

const categoryInfo = ([category, streams, events, lastPosition]: CategoryRow): CategoryInfo => ({
  category,
  streams: Number(streams),
  events: Number(events),
  lastPosition: Number(lastPosition),
})

/** Adds counts of later positions to earlier counts. */
export function addCounts(found: Map<string, CategoryInfo>, more: CategoryInfo): void {
  const known = found.get(more.category)
  const { streams, events } = known ?? { streams: 0, events: 0 }
  found.set(more.category, { ...more, streams: streams + more.streams, events: events + more.events })
}

/** Compares names byte by byte, as the database does. */
const byName = (a: CategoryInfo, b: CategoryInfo) =>
  Buffer.compare(Buffer.from(a.category), Buffer.from(b.category))

const versionOf = (row: EventRow | undefined): number => Number(row?.[3])

/** The events of a stream, as its readers see them. */
function eventsOf(stream: StreamRef, rows: readonly EventRow[]): RecordedEvent[] {
  const { category, streamId } = stream
  const model = modelOf(stream)
  const events = rows.map((row) => toEvent(row, category, streamId))
  return model ? events.map((event) => model.toReader(event)) : events
}
