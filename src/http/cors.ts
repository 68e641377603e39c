// The headers by which a browser lets other sites read a feed. Without the option `cors` there are none.
import type { FeedSettings } from './options.ts'

/** What a script of another site may read of a response. */
const EXPOSED = 'ETag, Retry-After, Stream-Cursor, Stream-Heartbeat, Stream-Next-Offset, Stream-Up-To-Date'

/** The headers that every response has. */
export function commonHeaders({ cors }: FeedSettings, request: Request): Record<string, string> {
  const origin = request.headers.get('Origin')
  const headers = {
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': cors ? 'cross-origin' : 'same-origin',
    Vary: `Authorization, Cookie${cors ? ', Origin' : ''}`,
  }
  if (!cors || origin === null) return headers
  const origins = [cors.origin].flat()
  if (!origins.includes(origin) && !origins.includes('*')) return headers
  return {
    ...headers,
    'Access-Control-Allow-Origin': origins.includes(origin) ? origin : '*',
    'Access-Control-Expose-Headers': EXPOSED,
    ...(cors.credentials ? { 'Access-Control-Allow-Credentials': 'true' } : {}),
  }
}

/** The answer to a browser that asks whether it may send a request; undefined if the request is not such a question. */
export function preflight({ cors }: FeedSettings, request: Request): Response | undefined {
  if (!cors || request.method !== 'OPTIONS') return undefined
  const asked = request.headers.get('Access-Control-Request-Headers')
  return new Response(null, {
    status: 204,
    headers: {
      'Access-Control-Allow-Methods': 'GET, HEAD',
      // Other headers are accepted; `authorize` decides about their values. Without an allowed origin this allows nothing.
      'Access-Control-Allow-Headers': `Authorization, If-None-Match${asked ? `, ${asked}` : ''}`,
      'Access-Control-Max-Age': '600',
    },
  })
}
