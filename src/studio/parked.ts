import { streamKey } from '../event.ts'
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

/** What a subscription has parked, stream by stream, and how many events of it these are. */
export async function parkedOf(
  meow: Meow,
  name: string,
): Promise<{ streams: ParkedStream[]; events: number }> {
  const parked = await meow.parked(name, { limit: MOST_READ })
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
  if (last && events === MOST_READ) last.more = true
  return { streams: [...streams.values()], events }
}
