// Server-sent events of a feed (5.7 of the Durable Streams protocol).
import type { Page } from '../read/page.ts'
import { cursorAfter } from './cursor.ts'
import type { Encoder } from './encode.ts'
import type { LiveSource } from './live-response.ts'
import { offsetOf } from './offset.ts'
import type { LivePages } from './pages.ts'

const COMMENT = new TextEncoder().encode(':\n\n')

/** Messages with the events of pages. Each is followed by its offset, from which a client continues. */
export function liveEvents(pages: LivePages, encoder: Encoder, givenCursor: string | null): LiveSource {
  let cursor = cursorAfter(givenCursor)
  let page: Page | undefined
  let i = 0
  let position = pages.after
  let sent = -1 // the last offset that was sent
  let begun = false

  const control = (to: number, upToDate: boolean): string => {
    const now = cursorAfter(null)
    if (Number(now) > Number(cursor)) cursor = now
    const content = {
      streamNextOffset: offsetOf(to),
      streamCursor: cursor,
      ...(upToDate ? { upToDate } : {}),
    }
    return `event: control\ndata:${JSON.stringify(content)}\n\n`
  }
  const controlNow = (): Uint8Array => {
    sent = position
    return encoder.bytes(control(position, position >= pages.horizon()))
  }

  return {
    next: async () => {
      if (!begun) {
        await pages.horizonKnown()
        begun = true
        if (position >= pages.horizon()) return controlNow()
      }
      for (;;) {
        if (page && i < page.events.length) {
          const { events, position: end } = page
          const at = (next: number) => (next === events.length ? end : events[next - 1]!.position)
          const frame = encoder.frame(events, i, (next) =>
            control(at(next), next === events.length && end >= pages.horizon()),
          )
          i = frame.next
          position = sent = at(i)
          return frame.bytes
        }
        page = await pages.next()
        i = 0
        if (page.events.length > 0) continue
        position = page.position
        // It has caught up without an event, and says so once. Later a heartbeat says how far it has come.
        if (sent < 0 && position >= pages.horizon()) return controlNow()
      }
    },
    beat: () => (begun && position > sent && sent >= 0 ? controlNow() : COMMENT),
    close: () => pages.close(),
  }
}
