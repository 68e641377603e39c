// Requests that are repeated until they are answered, and event streams that are opened again where they ended.
import { after, every, wall } from './clock.ts'
import type { Message } from './messages.ts'
import { messageReader } from './messages.ts'
import { mayPass, RemoteError, refused } from './remote-error.ts'
import type { ReaderStatus } from './status.ts'

/** Headers, or a function that makes them: it is called for each request, and again if they were refused. */
export type RemoteHeaders = HeadersInit | (() => HeadersInit | Promise<HeadersInit>)
type HeadersInit = Record<string, string> | Iterable<readonly [string, string]> | Headers

export interface Transport {
  readonly fetch: typeof fetch
  readonly headers: RemoteHeaders
}

/** The pause after failed attempt 1, 2, … in ms: it doubles, up to 10 s, and the half of it is random. */
const FIRST_PAUSE_MS = 200
const MAX_PAUSE_MS = 10_000
/** The limit, in ms, for a server that does not announce its heartbeats. */
const SILENCE_MS = 45_000
/** A connection that lasted this long, in ms, was a good one: the next attempt comes soon. */
const GOOD_MS = 5_000

/** The events of the network, if this is a browser. */
const environment = globalThis as {
  addEventListener?: (kind: string, call: () => void) => void
  removeEventListener?: (kind: string, call: () => void) => void
}

/** Repeats `attempt` until it returns true. It throws errors that no retry would solve, and the signal's reason when that aborts. */
export async function untilDone(
  attempt: (progress: () => void) => Promise<boolean>,
  status: ReaderStatus,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; ; ) {
    const began = wall()
    let progressed = false
    let pause: number | undefined
    try {
      const isDone = await attempt(() => {
        progressed = true
      })
      if (isDone) return
      if (progressed || wall() - began > GOOD_MS) failures = 0
      status.set('reconnecting', new Error('the server ended the connection'))
    } catch (error) {
      if (signal.aborted || error instanceof RemoteError) throw error
      if (progressed) failures = 0
      status.set('reconnecting', error)
      pause = (error as { retryAfterMs?: number }).retryAfterMs
    }
    failures++
    const longest = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10))
    await sleep((pause ?? longest / 2) + (Math.random() * longest) / 2, signal)
  }
}

/** Waits, but not longer than until the network is back. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      cancel()
      signal.removeEventListener('abort', end)
      environment.removeEventListener?.('online', end)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    const cancel = after(ms, end)
    signal.addEventListener('abort', end)
    environment.addEventListener?.('online', end)
    if (signal.aborted) end()
  })
}

/** @throws RemoteError: another request would not mend them */
function headersOf(given: HeadersInit): Headers {
  try {
    return new Headers(given as never)
  } catch (error) {
    throw new RemoteError('ERR_REMOTE_INPUT', `headers are invalid: ${(error as Error).message}`)
  }
}

/** A response with status 2xx. @throws RemoteError if another request would get the same answer */
async function ask(
  { fetch, headers }: Transport,
  method: 'GET' | 'HEAD',
  url: string,
  init: RequestInit,
): Promise<Response> {
  for (let denied = false; ; ) {
    const given = headersOf(typeof headers === 'function' ? await headers() : headers)
    const response = await fetch(url, { ...init, method, headers: given })
    if (response.ok) return response
    const { status } = response
    if ((status === 401 || status === 403) && typeof headers === 'function' && !denied) {
      denied = true // perhaps the token has expired: once more, with fresh headers
      await response.body?.cancel()
      continue
    }
    if (!mayPass(status)) throw await refused(response)
    const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN)
    const { message } = await refused(response)
    throw Object.assign(new Error(message), {
      retryAfterMs: seconds >= 0 && seconds <= 60 ? seconds * 1000 : undefined,
    })
  }
}

/** What watches over one request. */
interface Watch {
  /** Aborts when the request is given up. */
  readonly signal: AbortSignal
  /** How long the server may be silent, in ms. */
  silence: number
  /** When the server last sent something; Infinity while the consumer works, because nothing is read then. */
  heard: number
}

/** Gives a request up if the server is silent for longer than its heartbeats allow, or if a browser is online again. */
async function watched<T>(signal: AbortSignal, work: (watch: Watch) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const leave = () => stop.abort(signal.reason)
  const renew = () => stop.abort(new Error('the network has changed'))
  const watch: Watch = { signal: stop.signal, silence: SILENCE_MS, heard: wall() }
  // After a sleep of the machine or of the tab this fires as soon as it is awake again.
  const unwatch = every(1_000, () => {
    if (wall() - watch.heard > watch.silence) stop.abort(new Error('the server is silent'))
  })
  signal.addEventListener('abort', leave)
  environment.addEventListener?.('online', renew)
  if (signal.aborted) leave()
  try {
    return await work(watch)
  } finally {
    unwatch()
    signal.removeEventListener('abort', leave)
    environment.removeEventListener?.('online', renew)
    stop.abort()
  }
}

/** Hands the body to `take`, piece by piece. */
async function readBody(
  { body }: Response,
  watch: Watch,
  take: (text: string) => Promise<void> | void,
): Promise<void> {
  if (!body) throw new Error('fetch gave no body')
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>
  const decoder = new TextDecoder()
  try {
    for (;;) {
      watch.heard = wall()
      const { done, value } = await reader.read()
      if (done) return
      watch.heard = Infinity
      await take(decoder.decode(value, { stream: true }))
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

/** The headers of a response, and its body as text. */
export function fetched(
  transport: Transport,
  method: 'GET' | 'HEAD',
  url: string,
  signal: AbortSignal,
): Promise<{ headers: Headers; text: string }> {
  return watched(signal, async (watch) => {
    const response = await ask(transport, method, url, { signal: watch.signal })
    let text = ''
    if (method === 'GET')
      await readBody(response, watch, (piece) => {
        text += piece
      })
    return { headers: response.headers, text }
  })
}

/** Reads one event stream to its end. `take` gets each message; the next one is read when it has resolved. */
export function listen(
  transport: Transport,
  url: string,
  signal: AbortSignal,
  opened: () => void,
  take: (message: Message) => Promise<void> | void,
): Promise<void> {
  return watched(signal, async (watch) => {
    const response = await ask(transport, 'GET', url, {
      signal: watch.signal,
      cache: 'no-store',
    } as RequestInit)
    const type = response.headers.get('Content-Type') ?? 'nothing'
    if (!type.startsWith('text/event-stream'))
      throw new Error(`the answer is ${type}, and not that of a feed`)
    const heartbeat = Number(response.headers.get('Stream-Heartbeat'))
    if (heartbeat > 0) watch.silence = Math.max(3_000, 2.5 * heartbeat)
    opened()
    const read = messageReader()
    await readBody(response, watch, async (piece) => {
      for (const message of read(piece)) {
        await take(message)
        if (watch.signal.aborted) throw watch.signal.reason
      }
    })
  })
}
