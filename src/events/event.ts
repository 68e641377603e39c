import { LimitError } from '../core/errors.ts'
import { hasTags, NO_TAGS, takeTags } from './tags.ts'

/** The key under which a category, its streams and its new events keep their event model. It is not enumerable. */
export const MODEL: unique symbol = Symbol('meowmx.model')

/** Exists only in types: the category of a stream. */
declare const CATEGORY: unique symbol

/** Converts the events of a category when they are appended and read. Only the model knows about schemas. */
export interface EventModel {
  /** The name of the category. */
  readonly name: string
  /** Returns the event as it is stored, or throws a ValidationError whose path begins with `path`. */
  toStore(event: NewEvent, path: string): Storable
  /** Returns the event as readers see it. */
  toReader(event: RecordedEvent): RecordedEvent
}

/** The event model of a stream or an event, if it has one. */
export const modelOf = (value: object): EventModel | undefined => (value as { [MODEL]?: EventModel })[MODEL]

/**
 * A stream: all events of one thing, e.g. `{ category: 'order', streamId: '42' }`. Both names have 1 to 255 characters. `C` is
 * the stream's category if a zod category has created it.
 */
export interface StreamRef<C = any> {
  /** The kind of thing, e.g. `order`. */
  category: string
  /** Which one, e.g. `42`. */
  streamId: string
  readonly [CATEGORY]?: C
}

/** The stream as the key of a Map. No name can contain the separator. */
export const streamKey = ({ category, streamId }: StreamRef): string => `${category}\u0000${streamId}`

/** An event to append. */
export interface NewEvent {
  /** What happened, e.g. `OrderPlaced`; 1 to 255 characters. Types that begin with `$` are reserved. */
  type: string
  /** Any JSON value. */
  data: unknown
  /** A JSON object; default `{}`. */
  metadata?: object | undefined
  /** A UUID, which makes a retry safe. Default: a new UUIDv7. */
  id?: string | undefined
  /**
   * What the event is about, for queries and conditions across streams, e.g. `['course:1', 'student:7']`: a set, at most 32, each of 1 to
   * 255 characters. It must not be `undefined`: leave it out.
   */
  tags?: readonly string[]
}

/** An event as it is stored. */
export interface Storable extends NewEvent {
  /** The data as readers get it, if that is different from the stored data. */
  readonly seen?: { readonly data: unknown }
}

/** A stored event. Observers in one process share it, so treat it as read-only. */
export interface RecordedEvent {
  /** A UUID, in lower case. */
  id: string
  category: string
  streamId: string
  /** The number of the event in its stream: 0, 1, 2 … without gaps. */
  version: number
  /** The number of the event in the store: strictly increasing in the order of delivery, with gaps. */
  position: number
  /** What happened. */
  type: string
  /** The JSON value that was appended. */
  data: any
  /** A JSON object; `{}` if none was given. */
  metadata: Record<string, any>
  /** Sorted; `[]` if it has none. */
  tags: readonly string[]
  /** The time by the database's clock, in milliseconds. */
  recordedAt: Date
}

/** The type of the event that is appended when a stream is erased. */
export const ERASED = '$erased'

/** Whether only the store itself writes events of this type. */
export const isReserved = (type: string): boolean => type.startsWith('$')

/**
 * Whether the event was erased with its stream. Then it is still there, but its data and metadata are empty
 * (sql/functions/erase_stream.sql).
 */
export function isEmptied({ data, metadata }: Pick<RecordedEvent, 'data' | 'metadata'>): boolean {
  return (
    metadata.erased === true &&
    Object.keys(metadata).length === 1 &&
    typeof data === 'object' &&
    data !== null &&
    Object.keys(data).length === 0
  )
}

/** The highest and lowest number of seconds since 1970 that a Date can hold. */
const MAX_SECONDS = '8640000000000::float8'

/** The library's own columns of the events table. Users may have added other columns. */
export const ownColumns = 'position, recorded_at, id, version, category, stream_id, type, data, metadata'

/**
 * The columns of an event, each as the text that PostgreSQL sends. The category is null if the query left it out because the
 * reader knows it.
 */
export type EventRow<Category extends string | null = string> = readonly [
  position: string,
  recordedMs: string,
  id: string,
  version: string,
  category: Category,
  streamId: string,
  type: string,
  data: string,
  metadata: string,
]

/** Whether these columns are those of an event, and not all null because there is none. */
export const isEventRow = (row: readonly (string | null)[]): row is EventRow => row[0] !== null

/**
 * The columns of an event, in the order of `EventRow`. If the reader knows the category, `category` may be a constant, which is
 * cheaper to send. A time that no Date can hold, such as infinity, becomes the nearest possible one: inserts
 * can't write such a time, but a restored store may contain it.
 */
export const eventColumns = (category = 'category'): string =>
  `position, (greatest(least(pg_catalog.date_part('epoch', recorded_at), ${MAX_SECONDS}), -${MAX_SECONDS}) * 1000::float8)::bigint, id, version, ${category}, stream_id, type, data, metadata`

/**
 * A position as a number.
 * @throws LimitError above 2^53 - 1, where a number is not exact
 */
export function toPosition(text: string): number {
  const position = Number(text)
  if (position > Number.MAX_SAFE_INTEGER) throw inexact(text)
  return position
}

const inexact = (text: string) =>
  new LimitError(
    `position ${text} is above ${Number.MAX_SAFE_INTEGER}, the last one that a JavaScript number holds exactly; move the events above it to other positions, and set the sequence of positions back (meowmx doctor)`,
  )

/** How many times larger than its stored size a value may be. TOAST mostly compresses JSON three to ten times. */
export const COMPRESSION = 10

/**
 * The approximate size in bytes of an event's data and metadata, in SQL. It uses the stored sizes, so the values are not read.
 */
export const eventBytes = `pg_catalog.pg_column_size(metadata) + pg_catalog.pg_column_size(data)
      * case when pg_catalog.pg_column_compression(data) is null then 1 else ${COMPRESSION} end`

type AnyEventRow = readonly [...EventRow<string | null>, ...string[]]

/** Makes an event from one row; further columns are ignored. Events share the names that the reader knows. */
export function toEvent(row: EventRow): RecordedEvent
export function toEvent(row: AnyEventRow, category: string, streamId?: string): RecordedEvent
export function toEvent(row: AnyEventRow, category = row[4]!, streamId = row[5]): RecordedEvent {
  const { metadata, tags } = readMetadata(row[8])
  return {
    id: row[2],
    category,
    streamId,
    version: Number(row[3]),
    position: toPosition(row[0]),
    type: row[6],
    data: JSON.parse(row[7]),
    metadata,
    tags,
    recordedAt: new Date(Number(row[1])),
  }
}

/** Metadata and tags of an event, which are stored as one text. */
export function readMetadata(text: string): Pick<RecordedEvent, 'metadata' | 'tags'> {
  if (text === '{}') return { metadata: {}, tags: NO_TAGS }
  const metadata = object(JSON.parse(text))
  return hasTags(text) ? takeTags(metadata) : { metadata, tags: NO_TAGS }
}

/** The metadata of a restored store may be something else than an object, but readers rely on an object. */
const object = (metadata: unknown): Record<string, unknown> =>
  typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
    ? (metadata as Record<string, unknown>)
    : {}
