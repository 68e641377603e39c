import type { RecordedEvent } from '../events/event.ts'
import type { View } from '../events/selector.ts'
import type { Page } from '../read/page.ts'
import type { Feed } from './feed.ts'
import type { LiveFeed } from './live.ts'

/** Where an iteration reads: pages of `feed`, up to and including the one that reaches the position `until`. */
export interface Source {
  feed: Pick<Feed, 'next' | 'close'> & Partial<Pick<LiveFeed, 'horizon' | 'horizonKnown'>>
  until: number
  /** The position after which the first page begins. */
  after?: number
}

/**
 * Returns events one by one to a consumer that asks for them. It is not a generator, because return() can't end a generator
 * that waits for a page.
 *
 * `makeStop` makes the controller that can end the iteration from outside. It is called with the first next(), so that an
 * iterator that is never used leaves no listener anywhere. `view` says how the consumer sees an event; null: as stored.
 */
export function iterate(
  open: (signal: AbortSignal) => Promise<Source>,
  makeStop: () => AbortController,
  view: View | null = null,
): AsyncIterator<RecordedEvent> {
  const done = { done: true as const, value: undefined }
  let stop: AbortController | undefined
  let source: Promise<Source> | undefined
  let page: Page | undefined
  let i = 0

  const start = () => {
    const controller = makeStop()
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

  // Overlapping calls of next() are answered one after the other, as by a generator.
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
