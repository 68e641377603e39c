import { isDeepStrictEqual } from 'node:util'
import type { Outcome } from '../append/batch.ts'
import { Aborted, result } from '../append/batch.ts'
import type { ExpectedVersion, Request } from '../append/request.ts'
import { DuplicateEventError, VersionConflictError } from '../events/errors.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { Selection } from '../events/selector.ts'
import type { CategoryInfo } from '../read/reader.ts'

/** An event as it is kept: its data and metadata as JSON, so that nobody who reads it can change it. */
type Stored = Omit<RecordedEvent, 'data' | 'metadata'> & { data: string; metadata: string }

/** Events in memory: what the functions of sql/ do to a table, with the same outcomes. */
export class MemoryLog {
  readonly #events: Stored[] = [] // the one at position n is number n - 1
  readonly #streams = new Map<string, Stored[]>()
  readonly #byId = new Map<string, Stored>()

  /** Position of the last event; 0: there is none. */
  get head(): number {
    return this.#events.length
  }

  /** The outcome of each request, in order; all are written, or none. */
  append(requests: readonly Request[], recordedAt: Date): Outcome[] {
    const known = requests.map((request) => this.#known(request))
    const partly = known.includes(undefined) // a group is one call: it has written all of its ids, or it is another one
    const lasts = new Map<string, number>()
    const refusals = requests.map((request, i) => {
      const { stream, key, expected, events } = request
      const was = known[i]
      if (was instanceof Error) return was
      if (was) return partly ? new DuplicateEventError(was[0]!.id, stream) : undefined
      const last = lasts.get(key) ?? this.#stream(key).length - 1
      lasts.set(key, last + events.length)
      return meets(expected, last) ? undefined : new VersionConflictError(stream, expected, last)
    })
    if (refusals.some(Boolean)) return refusals.map((refusal) => refusal ?? new Aborted())
    return requests.map((request, i) => {
      const was = known[i] as Stored[] | undefined
      return result((was ?? this.#write(request, recordedAt)).map(recorded), was !== undefined)
    })
  }

  /** The events of a stream, from a version to below another. */
  load(stream: StreamRef, from = 0, to?: number): RecordedEvent[] {
    return this.#stream(streamKey(stream)).slice(from, to).map(recorded)
  }

  /** The events of a selection above `after` up to `until`, at most `limit`: the first ones, or the last. */
  select(selection: Selection, after: number, until: number, limit: number, end: 'first' | 'last') {
    const matching = this.#events.slice(after, Math.max(after, until)).filter(matches(selection))
    return (end === 'first' ? matching.slice(0, limit) : matching.slice(-limit)).map(recorded)
  }

  /** What the events above `after` up to `until` are, by category. */
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

  #stream(key: string): Stored[] {
    return this.#streams.get(key) ?? []
  }

  /** What is recorded under a request's ids, if anything is; an error where that was another request. */
  #known({ stream, events }: Request): Stored[] | DuplicateEventError | undefined {
    const was = events.map(({ id }) => this.#byId.get(id))
    const found = was.filter((event) => event !== undefined)
    const other = found.find((event) => {
      const { type, data } = events[was.indexOf(event)]!
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
    return events.map(({ id, type, data, metadata }) => {
      const [version, position] = [history.length, this.#events.length + 1]
      const { category, streamId } = stream
      const event = { id, category, streamId, version, position, type, data, metadata, recordedAt }
      for (const list of [history, this.#events]) list.push(event)
      this.#byId.set(id, event)
      return event
    })
  }
}

function meets(expected: ExpectedVersion, last: number): boolean {
  if (expected === 'any') return true
  if (expected === 'stream-exists') return last >= 0
  return last === (expected === 'no-stream' ? -1 : expected)
}

function matches({ categories, types, streamId }: Selection): (event: Stored) => boolean {
  return (event) =>
    (categories.length === 0 || categories.includes(event.category)) &&
    (types === null || types.includes(event.type)) &&
    (streamId === null || event.streamId === streamId)
}

const recorded = (event: Stored): RecordedEvent => ({
  ...event,
  data: JSON.parse(event.data),
  metadata: JSON.parse(event.metadata),
  recordedAt: new Date(event.recordedAt),
})
