// The methods of a store that read stored events, with their documentation.
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import type { EventQuery } from '../events/query.ts'
import type { Selector } from '../events/selector.ts'
import type { AnyCategory, EventOf, SelectedEvent, TypeOf } from '../events/types.ts'
import type { QueryOptions, QueryResult } from './query.ts'
import type {
  CategoriesOptions,
  CategoryInfo,
  CategoryName,
  LoadOptions,
  ReadOptions,
  ReadResult,
} from './reader.ts'
import type { StreamInfo, StreamsOptions } from './streams.ts'
import type { TraceOptions } from './trace.ts'

/** Every kind of store has these. */
export interface ReadMethods {
  /**
   * Returns the events of one stream in version order; an empty list if the stream does not exist.
   *
   * It reads page by page, so that a long stream needs no long query, but the whole result is in memory.
   *
   * @throws UpcastError if the stream's zod category cannot read a stored event
   * @example
   * const events = await meow.load({ category: 'order', streamId: '42' }, { fromVersion: 10 })
   */
  load<S extends StreamRef>(stream: S, options?: LoadOptions): Promise<EventOf<S>[]>

  /**
   * Returns one page of events in position order, up to the horizon, so no event can appear later inside the page.
   *
   * @returns `position`: pass it as `after` to read the next page. It also moves forward when no event was selected. You have
   *   read everything when `position` is at `horizon` (or at `until`); the number of events does not tell
   * @throws UpcastError if a zod category cannot read a stored event
   * @example
   * let after = 0
   * const page = await meow.read({ category: 'order' }, { after, limit: 100 })
   * after = page.position
   */
  read<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: ReadOptions,
  ): Promise<ReadResult<SelectedEvent<C, T>>>

  /**
   * Returns all committed events that match a query by tags, in position order, and what was seen.
   *
   * Pass `seen` to `failIf` of an append: it fails if an event that matches was appended meanwhile. It never waits for open
   * appends, and the check misses none of them, because `seen` is not a position.
   *
   * @param query one item or several, at most 32: the events that match any of them. An item has 1 to 32 tags, all of which an event
   *   must carry, and perhaps types, one of which it must have
   * @throws ValidationError if the query or an option is invalid
   * @throws SchemaError if the client's transaction is not READ COMMITTED
   * @throws UpcastError if a zod category of `categories` cannot read a stored event
   * @example
   * const query = { tags: ['coupon:SPRING'] } as const
   * const { events, seen } = await meow.query(query)
   * if (events.length === 0) await meow.append(stream, { type: 'CouponUsed', data: {}, tags: ['coupon:SPRING'] }, { failIf: { query, after: seen } })
   */
  query<C extends AnyCategory = any>(
    query: EventQuery,
    options?: QueryOptions<C>,
  ): Promise<QueryResult<SelectedEvent<C>>>

  /**
   * Returns all categories, sorted by name, with the numbers of their streams and events and their last positions.
   *
   * **It counts every event**, from an index: 1 to 2 s for 3,000,000 events. If you call it often, ask for names only
   * (`counts: false`), or count only what is new (`after`).
   *
   * @throws ValidationError if an option is invalid
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`
   * @example
   * for (const { category, streams, events } of await meow.categories()) console.log(category, streams, events)
   * const names = await meow.categories({ counts: false }) // names and last positions
   */
  categories(options?: CategoriesOptions & { counts?: true }): Promise<CategoryInfo[]>
  /** Returns only the names and the last positions of all categories. It counts nothing, so it is fast. */
  categories(options: CategoriesOptions & { counts: false }): Promise<CategoryName[]>

  /**
   * Returns the version of a stream's last event; -1 if the stream does not exist. It takes one index probe.
   *
   * @example
   * const version = await meow.head({ category: 'order', streamId: '42' })
   */
  head(stream: StreamRef): Promise<number>

  /**
   * Returns the streams of a category, with the versions and positions of their last events. They are in the order of the bytes
   * of their ids; the last id of a page is the `after` of the next one. It takes two index probes a stream.
   *
   * @throws ValidationError if the category or an option is invalid
   * @example
   * const page = await meow.streams('order', { prefix: '2026-', limit: 50 })
   * const next = await meow.streams('order', { prefix: '2026-', limit: 50, after: page.at(-1)!.streamId })
   */
  streams(category: string | AnyCategory, options?: StreamsOptions): Promise<StreamInfo[]>

  /**
   * Returns all events of a correlation id, in position order: those with this `metadata.correlationId`, and the event that has
   * it as its own id. The id of any event gives the events of the correlation that it belongs to.
   *
   * The events are as they are stored, without upcasting. An index on the correlation id finds them.
   *
   * @throws ValidationError if the id is no text, or the limit is invalid
   * @example
   * for (const { type, metadata } of await meow.trace(request.id)) console.log(type, 'because of', metadata.causationId)
   */
  trace(id: string, options?: TraceOptions): Promise<RecordedEvent[]>
}
