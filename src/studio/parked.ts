// The parked streams of a subscription, for the page.
import { streamKey } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import type { Preview } from './show.ts'
import { preview, show } from './show.ts'

/** How many events are read at most: many may wait behind one that failed. */
const MOST_READ = 1_000
/** How many events are read at most to group the errors. */
const MOST_GROUPED = 20_000
/** How many groups a page gets. */
const MOST_GROUPS = 50
/** How many streams a page gets at most. */
const MOST_STREAMS = 100
/** The largest length of an error, and of data, in characters. */
const MOST_SHOWN = 16_384

export interface ParkedStream {
  /** The event that failed. */
  readonly event: Preview
  readonly attempts: number
  readonly error: string | null
  readonly parkedAt: number
  /** How many events wait behind it. */
  behind: number
  /** Whether more wait: not all were read. */
  more: boolean
}

/** The parked events of a subscription. */
export interface Parked {
  /** The first parked streams. */
  readonly streams: ParkedStream[]
  /** How many events the listed streams have: those that failed, and those that wait. */
  readonly events: number
  /** All parked streams and events, as `meow.subscriptions()` counts them; absent if nothing is parked. */
  readonly all?: { readonly streams: number; readonly events: number; readonly isEstimate: boolean }
}

/** Parked streams that failed alike. */
export interface ErrorGroup {
  /** The first line of the error, in which numbers and ids are written as … */
  readonly error: string
  streams: number
  /** Some of the streams. */
  readonly examples: { category: string; streamId: string; version: number }[]
}

/** Groups all parked streams by their errors, the largest group first. `more`: not all events were read. */
export async function groupsOf(meow: Meow, name: string): Promise<{ groups: ErrorGroup[]; more: boolean }> {
  const parked = await meow.parked(name, { limit: MOST_GROUPED })
  const groups = new Map<string, ErrorGroup>()
  for (const { event, attempts, error } of parked) {
    if (error === null && attempts === 0) continue // it waits behind the event that failed
    const alike = sameWords(error)
    const group = groups.get(alike) ?? { error: alike, streams: 0, examples: [] }
    groups.set(alike, group)
    group.streams++
    const { category, streamId, version } = event
    if (group.examples.length < 5) group.examples.push({ category, streamId, version })
  }
  const all = [...groups.values()].sort((a, b) => b.streams - a.streams)
  const [info] = parked.length > 0 ? await meow.subscriptions({ names: [name] }) : []
  const seen = all.reduce((sum, { streams }) => sum + streams, 0)
  return { groups: all.slice(0, MOST_GROUPS), more: seen < (info?.parkedStreams ?? 0) }
}

/** What errors of the same cause have in common. */
const sameWords = (error: string | null) =>
  (error ?? 'parked without an error')
    .split('\n', 1)[0]!
    .slice(0, 300)
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+/gi, '…')

/** Reads the parked events of a subscription, stream by stream. */
export async function parkedOf(meow: Meow, name: string): Promise<Parked> {
  const parked = await meow.parked(name, { limit: MOST_READ })
  const [info] = parked.length > 0 ? await meow.subscriptions({ names: [name] }) : []
  const streams = new Map<string, ParkedStream>()
  let events = 0
  for (const { event, attempts, error, parkedAt } of parked) {
    const key = streamKey(event)
    const known = streams.get(key)
    if (!known && streams.size === MOST_STREAMS) break
    events++
    if (known) known.behind++
    else
      streams.set(key, {
        event: { ...preview(event), data: show(event.data, MOST_SHOWN, 2).text },
        attempts,
        error: error === null ? null : error.slice(0, MOST_SHOWN),
        parkedAt: parkedAt.getTime(),
        behind: 0,
        more: false,
      })
  }
  const last = [...streams.values()].at(-1)
  if (!info || !last) return { streams: [], events: 0 }
  const all = {
    streams: Math.max(info.parkedStreams, streams.size),
    events: Math.max(info.parked, events),
    isEstimate: info.parkedIsEstimate,
  }
  // Reading may have ended inside this stream, at the limit of events or bytes.
  if (events === parked.length && events < all.events) last.more = true
  return { streams: [...streams.values()], events, all }
}
