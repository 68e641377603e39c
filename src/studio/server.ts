// The HTTP server of the studio.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { ConnectionError } from '../core/errors.ts'
import { toNodeListener } from '../http/node.ts'
import { ANSWERS, toHttpError } from './api.ts'
import type { Asset } from './assets.ts'
import { HEADERS, readAssets } from './assets.ts'
import { Guard, inUrl, isEvery } from './guard.ts'
import { HttpError } from './http-error.ts'
import { livePages } from './live-pages.ts'
import { metricsOf } from './metrics.ts'
import { CONTENT_TYPE, format } from './prometheus.ts'
import type { Store } from './request.ts'

/** The largest body of a request in bytes: it has the names of a subscription and a stream. */
const MOST_BODY = 16_384
const UNAUTHORIZED =
  'the token is missing or wrong: open the address that the studio printed at its start, or use the token that was chosen for it'

export interface Server {
  readonly port: number
  close(): Promise<void>
}

/** Serves the page, its JSON and the metrics. @throws ConnectionError if it cannot listen at that address */
export async function serve(store: Store, host: string, port: number, token: string): Promise<Server> {
  const assets = readAssets()
  const live = toNodeListener(livePages(store.meow, store.openPages))
  let guard: Guard
  const server = createServer((request, response) => {
    response.on('error', () => {}) // the client has gone
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    answer(store, guard, assets, live, request, response).catch((error) => refuse(request, response, error))
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error) => reject(new ConnectionError(cannotListen(host, port, error), error)))
    server.listen(port, host, resolve)
  })
  const at = (server.address() as AddressInfo).port
  guard = new Guard(host, at, token)
  return {
    port: at,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** The address of the page with its token. If we listen on every address, it is the one of this machine. */
export const addressOf = (host: string, port: number, token: string) =>
  `http://${isEvery(host) ? '127.0.0.1' : inUrl(host)}:${port}/?token=${token}`

async function answer(
  store: Store,
  guard: Guard,
  assets: ReadonlyMap<string, Asset>,
  live: ReturnType<typeof toNodeListener>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  guard.checkSource(request)
  const { pathname, searchParams: query } = target(request)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  if (method !== 'GET' && method !== 'POST')
    throw new HttpError(405, `${request.method} is not answered`, { Allow: 'GET, HEAD, POST' })
  const known = guard.knowsToken(request, query)

  const asset = method === 'GET' && assets.get(pathname === '/' ? '/index.html' : pathname)
  // Files contain nothing of the store. Without the token the page gets status 401 but is still sent: after a reload it takes the
  // token from its tab, and otherwise it says where the token is.
  if (asset) return send(response, pathname === '/' && !known ? 401 : 200, asset.type, asset.body)
  if (!known) throw new HttpError(401, UNAUTHORIZED)

  if (method === 'GET' && pathname === '/metrics')
    return send(response, 200, CONTENT_TYPE, format(await metricsOf(store.queries)))
  if (method === 'GET' && pathname === '/api/live') return live(request, response)
  const make = ANSWERS.get(`${method} ${pathname}`)
  if (!make) throw new HttpError(404, `there is nothing at ${method} ${pathname}`)
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const body = method === 'POST' ? await read(request) : undefined
  const made = await make(store, { query, body, signal: gone.signal })
  send(response, 200, 'application/json', JSON.stringify(made))
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    ...(status === 401 ? { 'WWW-Authenticate': 'Bearer realm="meowmx studio"' } : {}),
  })
  response.end(body) // Node sends no body for HEAD
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const { status, message, headers } = toHttpError(error)
  if (response.headersSent || response.destroyed) return void response.destroy()
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (!request.complete) response.setHeader('Connection', 'close') // the rest of the request is not read
  send(response, status, 'application/json', JSON.stringify({ error: message }))
}

function target({ url }: IncomingMessage): URL {
  try {
    return new URL(url ?? '/', 'http://studio')
  } catch {
    throw new HttpError(400, 'the address is not valid')
  }
}

async function read(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new HttpError(415, 'the body must be application/json')
  if (!(Number(request.headers['content-length']) <= MOST_BODY))
    throw new HttpError(413, `the body needs a Content-Length of at most ${MOST_BODY} bytes`)
  return json(request).catch(() => {
    throw new HttpError(400, 'the body is not JSON')
  })
}

function cannotListen(host: string, port: number, error: NodeJS.ErrnoException): string {
  const where = `${inUrl(host)}:${port}`
  if (error.code === 'EADDRINUSE')
    return `another program already listens at ${where}: choose another port, or 0 for any free one`
  if (error.code === 'EACCES') return `this user may not listen at ${where}: choose a port above 1023`
  return `cannot listen at ${where}: ${error.message}; choose another host or port`
}
