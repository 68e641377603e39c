// Looks into the store for the page: by id, by time, backward from a position, and the streams of a category.
import { now } from '../core/clock.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import { filterOf } from './filter.ts'
import { preview } from './show.ts'

/** How many events of a trace, or since a moment, a page gets. */
const MOST = 500
/** How many older events a page gets at once. */
const OLDER = 100
/** How many events one page is read of; a search with a filter stops after this many of them, or after this time. */
const PAGE = 1_000
const MOST_PAGES = 50
const SEARCH_MS = 2_000
const STREAMS = 200

const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 255) : null)

/** An event with what it belongs to. */
function linked(event: RecordedEvent) {
  const { correlationId, causationId } = event.metadata as Record<string, unknown>
  return {
    ...preview(event),
    id: event.id,
    correlationId: text(correlationId),
    causationId: text(causationId),
  }
}

/** All events of a correlation id, or of the correlation of the event with this id. */
export async function traceOf(meow: Meow, id: string) {
  const events = await meow.trace(id, { limit: MOST + 1 })
  return { events: events.slice(0, MOST).map(linked), more: events.length > MOST }
}

/** The first events that were recorded at or after a moment. */
export async function eventsSince(meow: Meow, since: Date, signal: AbortSignal) {
  const events: ReturnType<typeof linked>[] = []
  for await (const event of meow.iterate({}, { from: { since }, live: false, signal })) {
    if (events.length === OLDER) return { events, more: true }
    events.push(linked(event))
  }
  return { events, more: false }
}

/**
 * The newest events before a position that pass a filter. It reads a limited part of the store, so it may find none: `before` is
 * where to continue, and null if the start of the store is reached.
 */
export async function olderEvents(meow: Meow, before: number, filter: string, signal: AbortSignal) {
  const passes = filterOf(filter)
  const found: ReturnType<typeof preview>[] = []
  const end = now() + SEARCH_MS
  let until = before - 1
  let scanned = 0
  for (let page = 0; page < MOST_PAGES && until > 0; page++) {
    signal.throwIfAborted()
    const limit = filter.trim() === '' ? OLDER : PAGE
    const { events } = await meow.read({}, { until, limit, direction: 'backward' })
    for (const event of events) {
      scanned++
      until = event.position - 1
      if (passes(event)) found.push(preview(event))
      if (found.length === OLDER) return { events: found, before: until + 1, scanned }
    }
    if (events.length === 0) until = 0
    if (now() > end) break
  }
  return { events: found, before: until > 0 ? until + 1 : null, scanned }
}

/** The streams of a category, in the order of their ids. */
export async function streamsOf(meow: Meow, category: string, prefix: string, after: string | null) {
  const options = { limit: STREAMS + 1, ...(prefix ? { prefix } : {}), ...(after === null ? {} : { after }) }
  const streams = await meow.streams(category, options)
  return { streams: streams.slice(0, STREAMS), more: streams.length > STREAMS }
}
