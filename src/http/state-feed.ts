// `stateFeed`: the states of deciders over HTTP.
import { createHash } from 'node:crypto'
import { ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { check } from '../core/validate.ts'
import type { Meow } from '../meow.ts'
import type { Decider } from '../models/decider.ts'
import { checkDecider } from '../models/decider.ts'
import { decoded, nothingHere, segmentsBelow } from './address.ts'
import { authorize, Connections } from './connections.ts'
import type { FetchHandler } from './handler.ts'
import { handler } from './handler.ts'
import { serverSentEvents } from './live-response.ts'
import { liveStates, stateText } from './live-states.ts'
import { only } from './offset.ts'
import type { FeedOptions } from './options.ts'
import { feedSettings } from './options.ts'
import { checked, Problem } from './problem.ts'

/** What is asked for: the state of a stream, by the name that the decider has in the feed. */
export interface StateTarget {
  readonly name: string
  readonly streamId: string
}

/**
 * Serves the states of streams over HTTP, read only, for `remote(url).watch(name, streamId)`. A state must be JSON.
 *
 *     GET /events/state/order/42             { "version": 3, "state": … } now
 *     GET /events/state/order/42?live=sse    now, and after every change; a slow client gets the newest state only
 *
 * @param deciders the deciders by the names that clients use
 * @param options `authorize` decides who may see which state, and has no default; `path` is the same as that of `eventFeed`
 * @returns the handler. It never rejects
 * @throws ValidationError if a decider or an option is invalid
 * @example
 * const states = stateFeed(meow, { order }, { authorize: (request, { streamId }) => owns(request, streamId) })
 */
export function stateFeed(
  meow: Meow,
  deciders: Readonly<Record<string, Decider<any, any, any>>>,
  options: FeedOptions<StateTarget>,
): FetchHandler {
  const settings = feedSettings(options)
  if (typeof deciders !== 'object' || deciders === null)
    throw new ValidationError('deciders', 'must be an object with deciders', deciders)
  const known = new Map(Object.entries(deciders))
  for (const decider of known.values()) checkDecider(decider)
  const connections = new Connections(settings)

  return handler(settings, connections, meow, async (request, url, leave, failed) => {
    const [kind, name, ...id] = segmentsBelow(url, settings.path)
    if (kind !== 'state' || !name || id.length === 0) throw nothingHere()
    const target = Object.freeze({
      name: decoded(name, 'name'),
      streamId: checked(() => check(nameSchema, decoded(id.join('/'), 'streamId'), 'streamId', '')),
    })
    const live = only(url.searchParams, 'live')
    if (live !== null && live !== 'sse') throw new Problem(400, 'live must be sse')
    await authorize(settings, request, target)
    const decider = known.get(target.name)
    if (!decider) throw nothingHere()
    if (live === null || request.method === 'HEAD') {
      const body = stateText(await meow.state(decider, target.streamId))
      return { response: oneState(request, body), staysOpen: false }
    }
    const source = liveStates(meow.watch(decider, target.streamId))
    const isAllowed = async () => (await settings.authorize(request, target)) === true
    const response = serverSentEvents(source, request, connections, isAllowed, leave, failed)
    return { response, staysOpen: true }
  })
}

function oneState(request: Request, body: string): Response {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'private, no-cache', ETag: etag }
  if (request.headers.get('If-None-Match') === etag) return new Response(null, { status: 304, headers })
  return new Response(request.method === 'HEAD' ? null : body, { headers })
}
