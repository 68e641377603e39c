import { streamKey } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import type { Preview } from './show.ts'
import { preview, show } from './show.ts'

/** Events that are read: behind one that failed all that its stream goes on with waits, which may be much. */
const MOST_READ = 1_000
/** Streams that a page is told of. */
const MOST_STREAMS = 100
/** Characters of an error, and of data. */
const MOST_SHOWN = 16_384

export interface ParkedStream {
  /** The one that failed. */
  readonly event: Preview
  readonly attempts: number
  readonly error: string | null
  readonly parkedAt: number
  /** Events that wait behind it … */
  behind: number
  /** … or more: not all were read. */
  more: boolean
}

/** What is parked of a subscription. */
export interface Parked {
  /** The first of them. */
  readonly streams: ParkedStream[]
  /** How many events were read, which are in `streams`. */
  readonly events: number
  /** How many there are, as `meow.subscriptions()` counts them; left out if nothing is parked. */
  readonly all?: { readonly streams: number; readonly events: number; readonly isEstimate: boolean }
}

/** What a subscription has parked, stream by stream. */
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
  // It may be the one at which reading ended: after so many events, or so many bytes.
  if (events === parked.length && events < all.events) last.more = true
  return { streams: [...streams.values()], events, all }
}
