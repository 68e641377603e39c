import { LimitError } from '../core/errors.ts'

/** Under this key, which nothing enumerates, a category, its streams and its new events carry what knows their schemas. */
export const MODEL: unique symbol = Symbol('meowmx.model')

/** Only in types: the category that a stream is of. */
declare const CATEGORY: unique symbol

/** What knows the events of a category: appending and reading ask it, and know no more of schemas. */
export interface EventModel {
  /** Of the category. */
  readonly name: string
  /** As it is to be stored, or a ValidationError whose path begins with `path`. */
  toStore(event: NewEvent, path: string): Storable
  /** As its readers see it. */
  toReader(event: RecordedEvent): RecordedEvent
}

/** The model of a stream or an event that has one. */
export const modelOf = (value: object): EventModel | undefined => (value as { [MODEL]?: EventModel })[MODEL]

/**
 * All events of one thing, e.g. `{ category: 'order', streamId: '42' }`.
 * Both are non-empty and at most 255 characters long. `C`: its category, where a zod category has made it.
 */
export interface StreamRef<C = any> {
  /** The kind of thing, e.g. `order`. */
  category: string
  /** Which one, e.g. `42`. */
  streamId: string
  readonly [CATEGORY]?: C
}

/** A stream as the key of a Map: no name holds the separator. */
export const streamKey = ({ category, streamId }: StreamRef): string => `${category}\u0000${streamId}`

/** An event to append. */
export interface NewEvent {
  /** What happened, e.g. `OrderPlaced`; 1 to 255 characters, not beginning with `$`: such types are reserved. */
  type: string
  /** Any JSON value. */
  data: unknown
  /** A JSON object; default `{}`. */
  metadata?: object | undefined
  /** A UUID, which makes a retry safe; default: a new UUIDv7. */
  id?: string | undefined
}

/** An event as it is to be stored. */
export interface Storable extends NewEvent {
  /** Its data as readers of its category get it, where that is read in another way than it is stored. */
  readonly seen?: { readonly data: unknown }
}

/** An event as it stands in the store. Observers in one process share it: treat it as read-only. */
export interface RecordedEvent {
  /** A UUID, in lower case. */
  id: string
  category: string
  streamId: string
  /** Number of the event in its stream: 0, 1, 2 … without a gap. */
  version: number
  /** Number of the event in the store: strictly increasing in the order of delivery, with gaps. */
  position: number
  /** What happened. */
  type: string
  /** The JSON value that was appended. */
  data: any
  /** A JSON object; `{}` if none was given. */
  metadata: Record<string, any>
  /** The database's clock, to the millisecond. */
  recordedAt: Date
}

/** The type of the event behind those of a stream that were erased. */
export const ERASED = '$erased'

/** Whether only the store itself writes events of this type. */
export const isReserved = (type: string): boolean => type.startsWith('$')

/** Whether an event's stream was erased, and it with it: all that is left is that it happened (sql/functions/erase_stream.sql). */
export function isEmptied({ data, metadata }: Pick<RecordedEvent, 'data' | 'metadata'>): boolean {
  return (
    metadata.erased === true &&
    Object.keys(metadata).length === 1 &&
    typeof data === 'object' &&
    data !== null &&
    Object.keys(data).length === 0
  )
}

/** The seconds since 1970 that a Date can hold, to both sides. */
const MAX_SECONDS = '8640000000000::float8'

/** The columns of the table of events that are ours: others may have added theirs. */
export const ownColumns = 'position, recorded_at, id, version, category, stream_id, type, data, metadata'

/**
 * The columns of an event in the order that `toEvent` takes them; `category` may be what costs nothing to send, where the
 * reader knows it. A time that no Date can hold, such as infinity, becomes the nearest one: no insert is allowed to write it
 * any more, but a restored store may hold it.
 */
export const eventColumns = (category = 'category'): string =>
  `position, (greatest(least(pg_catalog.date_part('epoch', recorded_at), ${MAX_SECONDS}), -${MAX_SECONDS}) * 1000::float8)::bigint, id, version, ${category}, stream_id, type, data, metadata`

/**
 * A position as a number.
 * @throws LimitError above 2^53 - 1, where a number would be another position than the text
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

/** How many times as large a value may be taken for as it is stored: TOAST mostly compresses JSON three to ten times. */
export const COMPRESSION = 10

/** About how many bytes an event's data and metadata have as text, in SQL, from what is stored of them: they are not read. */
export const eventBytes = `pg_catalog.pg_column_size(metadata) + pg_catalog.pg_column_size(data)
      * case when pg_catalog.pg_column_compression(data) is null then 1 else ${COMPRESSION} end`

/** One row of these columns, each value as the text that PostgreSQL sends. Names that the reader knows are shared by its events. */
export function toEvent(
  row: readonly (string | null)[],
  category = row[4]!,
  streamId = row[5]!,
): RecordedEvent {
  const metadata = row[8]!
  return {
    id: row[2]!,
    category,
    streamId,
    version: Number(row[3]),
    position: toPosition(row[0]!),
    type: row[6]!,
    data: JSON.parse(row[7]!),
    metadata: metadata === '{}' ? {} : object(JSON.parse(metadata)),
    recordedAt: new Date(Number(row[1])),
  }
}

/** Metadata of a restored store that is no object can't be metadata: whoever reads it relies on an object. */
const object = (metadata: unknown): Record<string, unknown> =>
  typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
    ? (metadata as Record<string, unknown>)
    : {}
