// Reads the events of a feed: pages until it has caught up, then an event stream.
import type { RemoteFrom } from './address.ts'
import { beginning } from './address.ts'
import type { Transport } from './connection.ts'
import { fetched, listen, untilDone } from './connection.ts'
import { inTurns } from './seats.ts'
import type { ReaderStatus } from './status.ts'

/** What is read, and how far. */
export interface Reading {
  /** The address of the selection. */
  readonly url: string
  readonly query: Readonly<Record<string, string>>
  readonly from: RemoteFrom
  readonly live: boolean
}

/**
 * Hands batches of events to `take`, in order, each event once; the next batch is read when it has resolved. Events count as
 * read together with the offset that follows them, so a connection that breaks loses and repeats none.
 */
export async function readEvents(
  { url, query, from, live }: Reading,
  transport: Transport,
  status: ReaderStatus,
  signal: AbortSignal,
  take: (events: unknown[]) => Promise<void> | void,
): Promise<void> {
  let at = beginning(from)
  const address = (more: Record<string, string>) => {
    const parameters = new URLSearchParams({ ...query, ...at, ...more })
    parameters.sort()
    return `${url}?${parameters}`
  }
  const page = async (until: Record<string, string>) => {
    const { headers, text } = await fetched(transport, 'GET', address(until), signal)
    const events = JSON.parse(text) as unknown[]
    const next = headers.get('Stream-Next-Offset')
    if (!Array.isArray(events) || next === null) throw new Error('the answer is not one of a feed')
    status.set('live')
    if (events.length > 0) await take(events.map(revived))
    if (signal.aborted) throw signal.reason
    at = { offset: next }
    return { next, isCurrent: headers.get('Stream-Up-To-Date') === 'true' }
  }
  const pages = async (progress: () => void, end?: string) => {
    for (;;) {
      const { next, isCurrent } = await page(end === undefined ? {} : { until: end })
      progress()
      if (isCurrent || (end !== undefined && next >= end)) return true
    }
  }

  const selection = url + (Object.keys(query).length ? `?${new URLSearchParams(query)}` : '')
  let end: string | undefined
  const findEnd = async () => {
    const { headers } = await fetched(transport, 'HEAD', selection, signal)
    end = headers.get('Stream-Next-Offset') ?? undefined
    if (end === undefined) throw new Error('the answer is not one of a feed')
    return true
  }

  if (!live) {
    if (from === 'end') return
    await untilDone(findEnd, status, signal)
    return untilDone((progress) => pages(progress, end), status, signal)
  }
  if (from === 'end') {
    // The end at this moment, also after a connection that broke before it sent its position.
    await untilDone(findEnd, status, signal)
    at = { offset: end! }
  }
  // Pages can be cached, and a slow consumer does not keep a connection open.
  else await untilDone(pages, status, signal)
  const stream = async (progress: () => void, signal: AbortSignal, news: () => void) => {
    let waiting: unknown[] = [] // events whose offset has not come yet
    await listen(
      transport,
      address({ live: 'sse' }),
      signal,
      () => status.set('live'),
      async ({ kind, data }) => {
        if (kind === 'data') waiting.push(...(JSON.parse(data) as unknown[]))
        if (kind !== 'control') return
        const events = waiting
        waiting = []
        if (events.length > 0) {
          news()
          await take(events.map(revived))
        }
        at = { offset: JSON.parse(data).streamNextOffset }
        progress()
      },
    )
    return false
  }
  await inTurns(selection, signal, {
    stream: (own, news) => untilDone((progress) => stream(progress, own, news), status, own),
    poll: () => untilDone(pages, status, signal),
  })
}

/** An event as the store gives it: its time is a Date. What `map` of the feed has made stays as it is. */
function revived(value: unknown): unknown {
  const event = value as { id?: unknown; position?: unknown; recordedAt?: unknown } | null
  if (typeof event !== 'object' || event === null) return value
  const { id, position, recordedAt } = event
  return typeof id === 'string' && typeof position === 'number' && typeof recordedAt === 'string'
    ? { ...event, recordedAt: new Date(recordedAt) }
    : value
}
