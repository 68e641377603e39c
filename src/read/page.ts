import type { Row } from '../database/database.ts'
import type { RecordedEvent } from '../events/event.ts'
import { eventColumns, toEvent, toPosition } from '../events/event.ts'

/** Events in order, and the position up to which they are all there is. */
export interface Page {
  readonly events: RecordedEvent[]
  /** Of each event: the hash of its stream, by which subscriptions spread streams over partitions. */
  readonly hashes: number[]
  /** Of each event: how many bytes of text it was read from. */
  readonly sizes: number[]
  /** All of these together. */
  readonly bytes: number
  /** Where this page began: it holds what lies above. */
  readonly after: number
  /** Resume after this. */
  readonly position: number
}

/** Columns of an event, and behind them the hash. */
export const pageColumns = (category?: string): string =>
  `${eventColumns(category)}, meowmx.stream_hash(category, stream_id)`
const CATEGORY = 4
const DATA = 7
const METADATA = 8
const HASH = 9
/** What else there is of an event: its names, its numbers, the object itself. */
const REST = 250

/** About how many bytes an event takes that is made from these columns. */
export const sizeOf = (row: Row): number => row[DATA]!.length + row[METADATA]!.length + REST

const sum = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0)

export const positionOf = (row: Row): number => toPosition(row[0]!)

export const withCategory = (row: Row, category: string): Row => row.with(CATEGORY, category)

/** The texts become events when they are asked for first: the page behind them can be on its way before. */
export class LazyPage implements Page {
  readonly after: number
  readonly position: number
  readonly sizes: number[]
  readonly bytes: number
  readonly #category: string | undefined
  #rows: readonly Row[]
  #made: Pick<Page, 'events' | 'hashes'> | undefined

  constructor(rows: readonly Row[], after: number, position: number, category: string | undefined) {
    this.#rows = rows
    this.sizes = rows.map(sizeOf)
    this.bytes = sum(this.sizes)
    this.after = after
    this.position = position
    this.#category = category
  }

  get events(): RecordedEvent[] {
    return this.#make().events
  }

  get hashes(): number[] {
    return this.#make().hashes
  }

  #make() {
    if (!this.#made) {
      this.#made = made(this.#rows, this.#category)
      this.#rows = []
    }
    return this.#made
  }
}

/** Events from rows of these columns; `category` where they don't bring it. */
function made(rows: readonly Row[], category?: string): Pick<Page, 'events' | 'hashes'> {
  return {
    events: rows.map((row) => toEvent(row, category)),
    hashes: rows.map((row) => Number(row[HASH])),
  }
}

/** A part of a page. */
export function slicePage(
  page: Page,
  from: number,
  to: number,
  { after, position }: Pick<Page, 'after' | 'position'>,
): Page {
  const sizes = page.sizes.slice(from, to)
  return {
    events: page.events.slice(from, to),
    hashes: page.hashes.slice(from, to),
    sizes,
    bytes: sum(sizes),
    after,
    position,
  }
}

/** Index of the first event above `position`. */
export function firstAbove(events: readonly RecordedEvent[], position: number): number {
  let low = 0
  let high = events.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (events[middle]!.position <= position) low = middle + 1
    else high = middle
  }
  return low
}
