// The route of the open pages: it uses the handler, the limits and the heartbeats of a feed (src/http).
import { Connections } from '../http/connections.ts'
import type { FetchHandler } from '../http/handler.ts'
import { handler } from '../http/handler.ts'
import { liveHeaders, liveResponse } from '../http/live-response.ts'
import { feedSettings } from '../http/options.ts'
import type { Meow } from '../meow.ts'
import { filterOf } from './filter.ts'
import { LivePage } from './live-page.ts'
import type { OpenPages } from './open-pages.ts'

const MOST_PAGES = 32
const HEARTBEAT_MS = 5_000
/** A page that takes nothing for this long, in ms, counts as gone. */
const DEAD_MS = 60_000
const A_DAY_MS = 86_400_000

/** Answers pages that want to be told of everything. The guard has seen the requests before. */
export function livePages(meow: Meow, openPages: OpenPages): FetchHandler {
  const settings = feedSettings({
    authorize: () => true,
    path: '/',
    maxConnections: MOST_PAGES,
    heartbeatMs: HEARTBEAT_MS,
    stallMs: DEAD_MS,
    connectionMs: A_DAY_MS,
    caller: () => undefined,
  })
  const connections = new Connections(settings)
  const headers = { ...liveHeaders(HEARTBEAT_MS), 'Cache-Control': 'no-store' }
  return handler(settings, connections, meow, async (request, url, leave, failed) => {
    if (request.method === 'HEAD') return { response: new Response(null, { headers }), staysOpen: false }
    const page = new LivePage()
    const gone = openPages.join(page, filterOf(url.searchParams.get('filter') ?? ''))
    let forget = () => {}
    page.onClose = () => {
      gone()
      forget()
      leave()
    }
    const response = liveResponse(page, request.signal, failed)
    forget = connections.watch(response, async () => true)
    if (request.signal.aborted) forget() // it was closed before it was watched
    return { response: new Response(response.body, { headers }), staysOpen: true }
  })
}
