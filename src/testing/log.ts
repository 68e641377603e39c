// The events of a store in memory, with the same rules as the table in PostgreSQL.
import { isDeepStrictEqual } from 'node:util'
import type { Outcome } from '../append/batch.ts'
import { Aborted, result } from '../append/batch.ts'
import type { Condition } from '../append/condition.ts'
import type { Request } from '../append/request.ts'
import { meets } from '../append/request.ts'
import { ConditionFailedError, DuplicateEventError, VersionConflictError } from '../events/errors.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { CheckedItem } from '../events/query.ts'
import { matchesQuery } from '../events/query.ts'
import type { Selection } from '../events/selector.ts'
import type { CategoryInfo } from '../read/reader.ts'
import type { checkStreams, StreamInfo } from '../read/streams.ts'
import type { TraceSource } from '../read/trace.ts'

/** A stored event. Data and metadata are JSON text, so that no reader can change them. */
type Stored = Omit<RecordedEvent, 'data' | 'metadata'> & { data: string; metadata: string }

/** Events in memory. `append` has the same outcomes as sql/functions/append_batch.sql. */
export class MemoryLog {
  readonly #events: Stored[] = [] // the event at position n has index n - 1
  readonly #streams = new Map<string, Stored[]>()
  readonly #byId = new Map<string, Stored>()

  /** Position of the last event; 0 if there is none. */
  get head(): number {
    return this.#events.length
  }

  /** Writes all requests or none, and returns the outcome of each, in order. */
  append(requests: readonly Request[], recordedAt: Date): Outcome[] {
    const earlier = requests.map((request) => this.#recordedAs(request))
    // A group of requests is one call: if only some of its ids are recorded, they belong to another call.
    const isPartial = earlier.includes(undefined)
    const lasts = new Map<string, number>()
    const refusals = requests.map((request, i) => {
      const { stream, key, expected, events, condition } = request
      const found = earlier[i]
      if (found instanceof Error) return found
      if (found) return isPartial ? new DuplicateEventError(found[0]!.id, stream) : undefined
      const unseen = condition && firstUnseen(this.#events, condition)
      if (unseen) {
        const { id, position, type, category, streamId } = unseen
        const event = { id, position, type, stream: { category, streamId } }
        return new ConditionFailedError(condition.given.query, event)
      }
      const last = lasts.get(key) ?? this.#stream(key).length - 1
      lasts.set(key, last + events.length)
      return meets(expected, last) ? undefined : new VersionConflictError(stream, expected, last)
    })
    if (refusals.some(Boolean)) return refusals.map((refusal) => refusal ?? new Aborted())
    return requests.map((request, i) => {
      const found = earlier[i] as Stored[] | undefined
      return result((found ?? this.#write(request, recordedAt)).map(recorded), found !== undefined)
    })
  }

  /** The position after which to begin, to read what was recorded at or after a moment. */
  positionAt(since: Date): number {
    const first = this.#events.find(({ recordedAt }) => recordedAt >= since)
    return first ? first.position - 1 : this.head
  }

  /** The events of a stream from version `from` (inclusive) to version `to` (exclusive). */
  load(stream: StreamRef, from = 0, to?: number): RecordedEvent[] {
    return this.#stream(streamKey(stream)).slice(from, to).map(recorded)
  }

  /** The first or the last `limit` events of a selection, above `after` and up to `until`. */
  select(selection: Selection, after: number, until: number, limit: number, end: 'first' | 'last') {
    const matching = this.#events.slice(after, Math.max(after, until)).filter(matches(selection))
    return (end === 'first' ? matching.slice(0, limit) : matching.slice(-limit)).map(recorded)
  }

  /** All events, in the order of positions. */
  all(): RecordedEvent[] {
    return this.#events.map(recorded)
  }

  /** All events that match a query by tags. */
  query(items: readonly CheckedItem[]): RecordedEvent[] {
    return this.#events.filter((event) => matchesQuery(items, event)).map(recorded)
  }

  /** Counts the events above `after` and up to `until`, by category. */
  categories(after: number, until: number): CategoryInfo[] {
    const found = new Map<string, CategoryInfo>()
    for (const { category, version, position } of this.#events.slice(after, Math.max(after, until))) {
      const { streams, events } = found.get(category) ?? { streams: 0, events: 0 }
      found.set(category, {
        category,
        streams: streams + (version === 0 ? 1 : 0),
        events: events + 1,
        lastPosition: position,
      })
    }
    return [...found.values()].sort((a, b) => (a.category < b.category ? -1 : 1))
  }

  /** The streams of a category whose ids begin with `prefix` and come after `after`, ordered by the bytes of their ids. */
  streams({ category, prefix, after, limit }: ReturnType<typeof checkStreams>): StreamInfo[] {
    const lasts = [...this.#streams.values()].flatMap((events) => events.at(-1) ?? [])
    return lasts
      .filter((last) => last.category === category && last.streamId.startsWith(prefix))
      .map(({ streamId, version, position }) => ({ streamId, version, lastPosition: position }))
      .sort((a, b) => compareBytes(a.streamId, b.streamId))
      .filter(({ streamId }) => after === '' || compareBytes(streamId, after) > 0)
      .slice(0, limit)
  }

  /** Finds the events of a trace. */
  readonly traceSource: TraceSource = {
    byIds: async (ids) => ids.flatMap((id) => this.#byId.get(id) ?? []).map(recorded),
    correlated: async (id, after, limit) => {
      const rest = this.#events.slice(after).map(recorded)
      return rest.filter(({ metadata }) => metadata.correlationId === id).slice(0, limit)
    },
  }

  #stream(key: string): Stored[] {
    return this.#streams.get(key) ?? []
  }

  /** The events that are recorded under a request's ids; undefined if none is; an error if they differ from the request. */
  #recordedAs({ stream, events }: Request): Stored[] | DuplicateEventError | undefined {
    const byId = events.map(({ id }) => this.#byId.get(id))
    const found = byId.filter((event) => event !== undefined)
    const other = found.find((event) => {
      const { type, data } = events[byId.indexOf(event)]!
      const same = streamKey(event) === streamKey(stream) && event.type === type
      return !(same && isDeepStrictEqual(JSON.parse(event.data), JSON.parse(data)))
    })
    if (other) return new DuplicateEventError(other.id, stream)
    if (found.length === 0) return undefined
    return found.length === events.length ? found : new DuplicateEventError(found[0]!.id, stream)
  }

  #write({ stream, key, events }: Request, recordedAt: Date): Stored[] {
    const history = this.#stream(key)
    this.#streams.set(key, history)
    return events.map(({ id, type, data, metadata, tags }) => {
      const [version, position] = [history.length, this.#events.length + 1]
      const { category, streamId } = stream
      const event = { id, category, streamId, version, position, type, data, metadata, tags, recordedAt }
      for (const list of [history, this.#events]) list.push(event)
      this.#byId.set(id, event)
      return event
    })
  }
}

/** Compares names as the database does. */
const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Whether an event belongs to a selection. */
export function matches({ categories, types, streamId, tags }: Selection) {
  return (event: Pick<RecordedEvent, 'category' | 'type' | 'streamId' | 'tags'>): boolean =>
    (categories.length === 0 || categories.includes(event.category)) &&
    (types === null || types.includes(event.type)) &&
    (streamId === null || event.streamId === streamId) &&
    (tags === null || tags.every((tag) => event.tags.includes(tag)))
}

/** The first event that matches a condition and was not seen. */
const firstUnseen = (events: readonly Stored[], { items, after }: Condition) =>
  events
    .slice(after.horizon)
    .find((event) => !after.positions.includes(event.position) && matchesQuery(items, event))

const recorded = (event: Stored): RecordedEvent => ({
  ...event,
  data: JSON.parse(event.data),
  metadata: JSON.parse(event.metadata),
  recordedAt: new Date(event.recordedAt),
})
