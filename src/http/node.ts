// Serves a handler of the Fetch API with node:http, node:https or node:http2.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FetchHandler } from './handler.ts'

/**
 * Makes a listener of node:http, node:https, node:http2 or Express of a handler of the Fetch API, such as `eventFeed` returns.
 * The request's signal aborts when the client has gone. A body is read when the client has room for it.
 *
 * @example
 * createServer(toNodeListener(feed)).listen(8080)
 * app.use('/events', toNodeListener(feed)) // Express
 * fastify.get('/events/*', (request, reply) => (reply.hijack(), listener(request.raw, reply.raw))) // Fastify
 */
export function toNodeListener(
  handler: (request: Request) => Response | Promise<Response>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (incoming, outgoing) => {
    const gone = new AbortController()
    outgoing.on('error', () => {}) // the client has gone
    outgoing.once('close', () => gone.abort())
    answer(handler as FetchHandler, incoming, outgoing, gone.signal).catch(() => {
      if (outgoing.headersSent) return outgoing.destroy()
      outgoing.writeHead(500, { 'Content-Type': 'text/plain' }).end('Internal Server Error')
    })
  }
}

async function answer(
  handler: FetchHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const request = requestOf(incoming, signal)
  if (!request) return void outgoing.writeHead(400, { 'Content-Type': 'text/plain' }).end('Bad Request')
  const response = await handler(request)
  if (signal.aborted) return void response.body?.cancel().catch(() => {})
  const headers: Record<string, string | string[]> = Object.fromEntries(response.headers)
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) headers['set-cookie'] = cookies
  outgoing.writeHead(response.status, headers)
  if (!response.body || incoming.method === 'HEAD') {
    await response.body?.cancel()
    outgoing.end()
    return
  }
  outgoing.flushHeaders()
  await pipe(response.body, outgoing, signal)
}

async function pipe(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  reader.closed.catch(() => outgoing.destroy()) // the body broke off, perhaps while the client takes nothing
  for (;;) {
    const { done, value } = await reader.read()
    if (signal.aborted) return
    if (done) break
    if (!outgoing.write(value)) await drained(outgoing)
  }
  signal.removeEventListener('abort', cancel)
  outgoing.end()
}

/** Resolves when there is room again, or the client has disconnected. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      resolve()
    }
    outgoing.once('drain', done)
    outgoing.once('close', done)
    if (outgoing.destroyed) done()
  })
}

/** Null if the address is not valid. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | null {
  const { method = 'GET', headers, socket } = incoming
  const target = (incoming as { originalUrl?: string }).originalUrl ?? incoming.url ?? '/'
  const scheme = 'encrypted' in socket && socket.encrypted ? 'https' : 'http'
  const host = headers.host ?? (headers[':authority'] as string | undefined) ?? 'localhost'
  if (/[\s/?#\\@]/.test(host)) return null // it would move the path
  const address = target.startsWith('/') ? `${scheme}://${host}${target}` : target
  if (!URL.canParse(address)) return null
  const given = new Headers()
  for (const [name, value] of Object.entries(headers))
    if (!name.startsWith(':')) for (const one of [value ?? []].flat()) given.append(name, one)
  const hasBody = method !== 'GET' && method !== 'HEAD'
  try {
    return new Request(address, {
      method,
      headers: given,
      signal,
      ...(hasBody ? { body: Readable.toWeb(incoming), duplex: 'half' } : {}),
    } as RequestInit)
  } catch {
    return null // such as the method TRACE
  }
}
