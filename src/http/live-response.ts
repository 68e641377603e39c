// A response that stays open: server-sent events (8.2 of the protocol), pulled by the client.
import { now } from '../core/clock.ts'
import type { Connection, Connections } from './connections.ts'

/** What a live response sends. */
export interface LiveSource {
  /** The next message; waits until there is one. It rejects when there is none any more. */
  next(): Promise<Uint8Array>
  /** A sign of life. */
  beat(): Uint8Array
  /** Frees everything; called once. */
  close(): void
}

interface LiveResponse extends Connection {
  readonly body: ReadableStream<Uint8Array>
}

/**
 * Sends one message at a time, and asks for the next one when the client has taken it. So a slow client needs the memory of one
 * message; if it takes nothing at all, `Connections` drops it. `onError` gets why there is no next message.
 */
export function liveResponse(
  source: LiveSource,
  aborted: AbortSignal,
  onError: (error: unknown) => void,
): LiveResponse {
  let controller: ReadableStreamDefaultController<Uint8Array>
  let stalledSince: number | undefined
  let open = true

  const close = (last: () => void) => {
    if (!open) return
    open = false
    aborted.removeEventListener('abort', drop)
    source.close()
    last()
  }
  const end = () => close(() => controller.close())
  const drop = () => close(() => controller.error(new Error('the connection was dropped')))

  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given
    },
    // Only called if there is room: the client has taken everything.
    pull: async () => {
      stalledSince = undefined
      try {
        const message = await source.next()
        if (!open) return
        controller.enqueue(message)
        stalledSince = hasRoom() ? undefined : now()
      } catch (error) {
        if (open) onError(error)
        end() // such as: the store was closed, or has lost events. The client connects again, and gets a status
      }
    },
    cancel: () => close(() => {}),
  })
  const hasRoom = () => (controller.desiredSize ?? 0) > 0

  if (aborted.aborted) drop()
  else aborted.addEventListener('abort', drop)
  return {
    body,
    end,
    drop,
    get stalledSince() {
      return hasRoom() ? undefined : stalledSince // it may have taken everything since the last heartbeat
    },
    beat: () => {
      if (!open) return
      if (hasRoom()) controller.enqueue(source.beat())
      if (hasRoom()) stalledSince = undefined
      else stalledSince ??= now()
    },
  }
}

/** Answers a request with server-sent events. `connections` looks after the response until it ends; then `leave` is called. */
export function serverSentEvents(
  source: LiveSource,
  request: Request,
  connections: Connections,
  isAllowed: () => Promise<boolean>,
  leave: () => void,
  onError: (error: unknown) => void,
): Response {
  let forget = () => {}
  const close = () => {
    source.close()
    forget()
    leave()
  }
  const response = liveResponse({ ...source, close }, request.signal, onError)
  forget = connections.watch(response, isAllowed)
  if (request.signal.aborted) forget() // it was closed before it was watched
  return new Response(response.body, { headers: liveHeaders(connections.heartbeatMs) })
}

/** The headers of server-sent events. No proxy may keep, change or collect them. */
export const liveHeaders = (heartbeatMs: number): Record<string, string> => ({
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  'Stream-Heartbeat': String(heartbeatMs),
})
