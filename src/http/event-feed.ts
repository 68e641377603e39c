// `eventFeed`: the events of a store over HTTP.
import type { Meow } from '../meow.ts'
import { addressOf } from './address.ts'
import type { Feed } from './answers.ts'
import { catchUp, head, longPoll } from './answers.ts'
import { authorize, Connections } from './connections.ts'
import { Encoder } from './encode.ts'
import type { FetchHandler } from './handler.ts'
import { handler } from './handler.ts'
import { liveEvents } from './live-events.ts'
import { serverSentEvents } from './live-response.ts'
import { only, startOf } from './offset.ts'
import type { EventFeedOptions } from './options.ts'
import { eventFeedSettings } from './options.ts'
import { Pages } from './pages.ts'
import { checked, forbidden, Problem } from './problem.ts'

/**
 * Serves the events of a store over HTTP, read only: a handler of the Fetch API's `Request` and `Response`. It speaks the read
 * half of the Durable Streams protocol in JSON mode, so `remote` of `meowmx/client` and any client of that protocol can read it.
 *
 *     GET /events/category/order?offset=-1                   a page from the start; the header Stream-Next-Offset says where to go on
 *     GET /events/stream/order/42?offset=…&live=sse          one stream, and new events as they are appended
 *     GET /events/category/order,invoice?types=A,B&offset=now&live=long-poll
 *     GET /events/all                                        only with the option `all`
 *
 * All connections of one selection share one tail: while nothing is appended they cost no query. An offset is a position,
 * and never past the horizon.
 *
 * @param options `authorize` decides who may read what, and has no default
 * @returns the handler. It never rejects; mount it in Hono, Next, Bun or Deno, or with `toNodeListener` in node:http
 * @throws ValidationError if an option is invalid
 * @example
 * const feed = eventFeed(meow, {
 *   authorize: async (request, { category }) => category === 'order' && (await userOf(request)) !== null,
 * })
 * createServer(toNodeListener(feed)).listen(8080)
 */
export function eventFeed(meow: Meow, options: EventFeedOptions): FetchHandler {
  const settings = eventFeedSettings(options)
  const connections = new Connections(settings)
  const feed: Feed = { settings, pages: new Pages(meow), encoder: new Encoder(settings.map), connections }
  return handler(settings, connections, meow, async (request, url, leave, failed) => {
    const { selector, selection } = checked(() => addressOf(url, settings.path))
    const query = url.searchParams
    const live = only(query, 'live')
    if (live !== null && live !== 'sse' && live !== 'long-poll')
      throw new Problem(400, 'live must be sse or long-poll')
    const from = startOf(query)
    if (live !== null && !query.has('offset') && !query.has('since'))
      throw new Problem(400, 'a live read needs an offset: -1 for the start, now for the end')
    if (selection.categories.length === 0 && !settings.all) throw forbidden()
    await authorize(settings, request, selector)
    const isAllowed = async () => (await settings.authorize(request, selector)) === true
    const question = { request, query, selection, from, isAllowed }
    if (request.method === 'HEAD') return { response: await head(feed, question), staysOpen: false }
    if (live === null) return { response: await catchUp(feed, question), staysOpen: false }
    if (live === 'long-poll') return { response: await longPoll(feed, question), staysOpen: false }
    const source = liveEvents(
      await feed.pages.follow(selection, from, request.signal),
      feed.encoder,
      only(query, 'cursor'),
    )
    const response = serverSentEvents(source, request, connections, isAllowed, leave, failed)
    return { response, staysOpen: true }
  })
}
