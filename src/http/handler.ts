// What all feeds do with a request: method, limits, common headers, errors.
import type { Meow } from '../meow.ts'
import type { Connections } from './connections.ts'
import { commonHeaders, preflight } from './cors.ts'
import type { FeedSettings } from './options.ts'
import { Problem, problemResponse, toProblem } from './problem.ts'

/** Answers a request, as the Fetch API defines both. It never rejects. */
export type FetchHandler = (request: Request) => Promise<Response>

/**
 * Answers one request. `leave` must be called once it is no longer being answered, if the response stays open; `failed` with an
 * error that comes after the headers.
 */
type Answer = (
  request: Request,
  url: URL,
  leave: () => void,
  failed: (error: unknown) => void,
) => Promise<{ response: Response; staysOpen: boolean }>

export function handler(
  settings: FeedSettings,
  connections: Connections,
  meow: Meow,
  answer: Answer,
): FetchHandler {
  const log = (err: unknown) =>
    void meow
      .use(async (db) => db.settings.logger.error({ err }, 'a request to a feed failed'))
      .catch(() => {}) // the store is closed
  const failed = (error: unknown) => void toProblem(error, log)

  return async (request) => {
    const common = commonHeaders(settings, request)
    let leave = () => {}
    let staysOpen = false
    const respond = async () => {
      const asked = preflight(settings, request)
      if (asked) return asked
      if (request.method !== 'GET' && request.method !== 'HEAD')
        throw new Problem(405, 'a feed is read only', {
          Allow: settings.cors ? 'GET, HEAD, OPTIONS' : 'GET, HEAD',
        })
      leave = connections.enter(request)
      const answered = await answer(request, new URL(request.url), leave, failed)
      staysOpen = answered.staysOpen
      return answered.response
    }
    try {
      return withHeaders(await respond(), common)
    } catch (error) {
      return withHeaders(problemResponse(toProblem(error, log), request.method), common)
    } finally {
      if (!staysOpen) leave()
    }
  }
}

function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  return response
}
