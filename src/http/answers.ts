// The answers of an event feed that do not stay open: catch-up, HEAD and long polls (5.4 to 5.6 of the Durable Streams protocol).
import { createHash } from 'node:crypto'
import { abortable, abortWith } from '../core/abort.ts'
import { after as later } from '../core/clock.ts'
import type { Selection } from '../events/selector.ts'
import type { From } from '../live/observer.ts'
import type { Connections } from './connections.ts'
import { cursorAfter } from './cursor.ts'
import type { Encoder } from './encode.ts'
import { offsetOf, only, positionOf } from './offset.ts'
import type { EventFeedSettings } from './options.ts'
import type { Pages } from './pages.ts'
import { Problem } from './problem.ts'

/** What every answer of a feed needs. */
export interface Feed {
  readonly settings: EventFeedSettings
  readonly pages: Pages
  readonly encoder: Encoder
  readonly connections: Connections
}

/** A request for the events of a selection. */
export interface Question {
  readonly request: Request
  readonly query: URLSearchParams
  readonly selection: Selection
  readonly from: From
  readonly isAllowed: () => Promise<boolean>
}

const JSON_TYPE = { 'Content-Type': 'application/json' }
const UP_TO_DATE = { 'Stream-Up-To-Date': 'true' }

/** Where a read would begin or, without a place to begin, the end. */
export async function head(
  { pages }: Feed,
  { request, query, selection, from }: Question,
): Promise<Response> {
  const isEnd = query.get('offset') === null && query.get('since') === null
  const { position } = await pages.read(selection, isEnd ? 'end' : from, request.signal, 0)
  const headers = { ...JSON_TYPE, 'Cache-Control': 'no-store', 'Stream-Next-Offset': offsetOf(position) }
  return new Response(null, { headers })
}

/** One page. */
export async function catchUp(
  { pages, encoder, settings }: Feed,
  { request, query, selection, from }: Question,
): Promise<Response> {
  const limit = only(query, 'until')
  const until = limit === null ? Infinity : positionOf(limit, 'until')
  const { events, after, position, horizon } = await pages.read(selection, from, request.signal, until)
  const isCurrent = position >= horizon
  const body = encoder.array(events)
  const headers = {
    ...JSON_TYPE,
    'Stream-Next-Offset': offsetOf(position),
    'Stream-Cursor': cursorAfter(only(query, 'cursor')),
    ...(isCurrent ? UP_TO_DATE : {}),
  }
  if (typeof from === 'string' && from === 'end')
    return new Response(body, { headers: { ...headers, 'Cache-Control': 'no-store' } })
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  const etag = `"${offsetOf(after)}:${hash}${isCurrent ? ':end' : ''}"`
  const tagged = {
    ...headers,
    ETag: etag,
    'Cache-Control': isCurrent || 'since' in Object(from) ? 'private, no-cache' : settings.cacheControl,
  }
  return matches(request.headers.get('If-None-Match'), etag)
    ? new Response(null, { status: 304, headers: tagged })
    : new Response(body, { headers: tagged })
}

function matches(given: string | null, etag: string): boolean {
  return given?.split(',').some((one) => [etag, `W/${etag}`, '*'].includes(one.trim())) ?? false
}

/** The next events, or status 204 if there are none for a while. */
export async function longPoll(
  { pages, encoder, settings, connections }: Feed,
  { request, query, selection, from, isAllowed }: Question,
): Promise<Response> {
  const stop = abortWith(request.signal)
  const end = () => stop.abort()
  const cancel = later(settings.longPollMs, end)
  const forget = connections.watch({ stalledSince: undefined, beat: () => {}, end, drop: end }, isAllowed)
  const headers = (position: number, isCurrent: boolean) => ({
    'Cache-Control': 'no-store',
    'Stream-Next-Offset': offsetOf(position),
    'Stream-Cursor': cursorAfter(only(query, 'cursor')),
    ...(isCurrent ? UP_TO_DATE : {}),
  })
  let isKnown = false // without a horizon it is unknown whether there are more events
  const live = await pages.follow(selection, from, stop.signal).catch((error) => {
    cancel()
    forget()
    throw stop.signal.aborted ? new Problem(503, 'the store can not be read now') : error
  })
  let position = live.after
  try {
    live.horizonKnown().then(
      () => {
        isKnown = true
      },
      () => {},
    )
    for (;;) {
      const page = await abortable(live.next(), stop.signal)
      position = page.position
      const body = encoder.array(page.events)
      const isCurrent = position >= live.horizon()
      if (body !== '[]')
        return new Response(body, { headers: { ...JSON_TYPE, ...headers(position, isCurrent) } })
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
    if (!isKnown) throw new Problem(503, 'the store can not be read now', { 'Retry-After': '1' })
    return new Response(null, { status: 204, headers: headers(position, position >= live.horizon()) })
  } finally {
    cancel()
    forget()
    stop.abort()
    live.close()
  }
}
