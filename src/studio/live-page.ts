// What one open page is sent: server-sent events, as those of a feed (src/http).
import { Condition } from '../core/condition.ts'
import { ClosedError } from '../core/errors.ts'
import { Connections } from '../http/connections.ts'
import type { FetchHandler } from '../http/handler.ts'
import { handler } from '../http/handler.ts'
import type { LiveSource } from '../http/live-response.ts'
import { liveHeaders, liveResponse } from '../http/live-response.ts'
import { feedSettings } from '../http/options.ts'
import type { Meow } from '../meow.ts'
import { filterOf } from './filter.ts'
import type { OpenPages } from './open-pages.ts'

const MOST_PAGES = 32
const HEARTBEAT_MS = 5_000
/** A page that takes nothing for this long, in ms, counts as gone. */
const DEAD_MS = 60_000
const A_DAY_MS = 86_400_000
const COMMENT = ':\n\n'

/**
 * Messages to one page. For a slow page, only the latest message of each kind waits, so the memory is bounded: a message
 * replaces an older one of its kind, or (the tail) is made only when the last one was taken.
 */
export class LivePage implements LiveSource {
  readonly #waiting = new Map<string, string>()
  readonly #changed = new Condition()
  readonly #utf8 = new TextEncoder()
  #ended = false
  #leave: () => void = () => {}

  /** `leave` is called once, when the page has gone. */
  set onClose(leave: () => void) {
    this.#leave = leave
  }

  /** Whether a message of this kind has not been taken yet. */
  waits(kind: string): boolean {
    return this.#waiting.has(kind)
  }

  /** `json` must not contain a line break; JSON.stringify makes none. */
  send(kind: string, json: string): void {
    this.#waiting.set(kind, json)
    this.#changed.fire()
  }

  /** All that waits. */
  async next(): Promise<Uint8Array> {
    while (this.#waiting.size === 0 && !this.#ended) await this.#changed.next()
    if (this.#ended) throw new ClosedError()
    let text = ''
    for (const [kind, json] of this.#waiting) text += `event: ${kind}\ndata: ${json}\n\n`
    this.#waiting.clear()
    return this.#utf8.encode(text)
  }

  beat(): Uint8Array {
    return this.#utf8.encode(COMMENT)
  }

  /** The response ends, and the page connects again. */
  end(): void {
    this.#ended = true
    this.#changed.fire()
  }

  close(): void {
    this.end()
    this.#leave()
  }
}

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
