import type { RecordedEvent } from '../events/event.ts'
import type { View } from '../events/selector.ts'
import type { Page } from '../read/page.ts'
import type { Feed } from './feed.ts'

/** Pages up to the one that reaches `until`. */
export interface Source {
  feed: Pick<Feed, 'next' | 'close'>
  until: number
}

/**
 * Events pulled one by one. An iterator by hand: a generator that waits for a page can't be ended by return().
 * `begin` makes what ends it from outside. It is called on the first pull, for an iterator that nobody pulls is not to be
 * remembered anywhere. `view`: how the consumer sees an event; null: as it is.
 */
export function iterate(
  open: (signal: AbortSignal) => Promise<Source>,
  begin: () => AbortController,
  view: View | null = null,
): AsyncIterator<RecordedEvent> {
  const done = { done: true as const, value: undefined }
  let stop: AbortController | undefined
  let source: Promise<Source> | undefined
  let page: Page | undefined
  let i = 0

  const start = () => {
    const controller = begin()
    const { signal } = controller
    if (!signal.aborted) source = open(signal)
    signal.addEventListener('abort', () => void source?.then(({ feed }) => feed.close()).catch(() => {}))
    return controller
  }

  const next = async (): Promise<IteratorResult<RecordedEvent>> => {
    stop ??= start()
    try {
      for (;;) {
        if (!source || stop.signal.aborted) return done
        if (page && i < page.events.length) {
          const event = page.events[i++]!
          return { done: false, value: view ? view(event) : event }
        }
        const { feed, until } = await source
        if (page && page.position >= until) {
          stop.abort()
          return done
        }
        page = await feed.next()
        i = 0
      }
    } catch (error) {
      if (stop.signal.aborted) return done
      stop.abort()
      throw error
    }
  }

  // Calls that overlap are answered one after the other, as a generator does.
  let last: Promise<unknown> = Promise.resolve()
  return {
    next: () => {
      const result = last.then(next)
      last = result.catch(() => {})
      return result
    },
    return: async () => {
      stop ??= new AbortController()
      stop.abort()
      return done
    },
  }
}
