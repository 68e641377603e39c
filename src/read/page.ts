import type { EventRow, RecordedEvent } from '../events/event.ts'
import { eventColumns, toEvent, toPosition } from '../events/event.ts'

/** Events in order, and the position up to which they are complete. */
export interface Page {
  readonly events: RecordedEvent[]
  /** For each event, the hash of its stream, which decides its partition. */
  readonly hashes: number[]
  /** For each event, the size in bytes of the text that it was read from. */
  readonly sizes: number[]
  /** The sum of all sizes. */
  readonly bytes: number
  /** The position after which this page begins. */
  readonly after: number
  /** The position after which to continue. */
  readonly position: number
}

/** An event, and the hash of its stream. A page of one category leaves the category out. */
export type PageRow = readonly [...EventRow<string | null>, hash: string]

/** The columns of a page. */
export const pageColumns = (category?: string): string =>
  `${eventColumns(category)}, meowmx.stream_hash(category, stream_id)`
const CATEGORY = 4
const DATA = 7
const METADATA = 8
const HASH = 9
/** The size of the rest of an event in bytes: names, numbers and the object. */
const REST = 250

/** The approximate size in bytes of an event with these columns. */
export const sizeOf = (row: EventRow | PageRow): number => row[DATA].length + row[METADATA].length + REST

const sum = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0)

export const positionOf = (row: PageRow): number => toPosition(row[0])

/** The category of a row, if `only` is that of a page of one category. */
export const categoryOf = (row: PageRow, only: string | undefined): string => only ?? row[CATEGORY]!

/** The texts are converted to events on first use, so that the next page can be requested before. */
export class LazyPage implements Page {
  readonly after: number
  readonly position: number
  readonly sizes: number[]
  readonly bytes: number
  readonly #category: string | undefined
  #rows: readonly PageRow[]
  #made: Pick<Page, 'events' | 'hashes'> | undefined

  constructor(rows: readonly PageRow[], after: number, position: number, category: string | undefined) {
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

/** Events from rows of these columns; `category` is used if the rows have none. */
function made(rows: readonly PageRow[], category?: string): Pick<Page, 'events' | 'hashes'> {
  return {
    events: rows.map((row) => toEvent(row, categoryOf(row, category))),
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
