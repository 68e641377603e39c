import { setTimeout as delay } from 'node:timers/promises'
import type { RecordedEvent } from '../../../src/index.ts'
import type { Playing, Stage } from '../child.ts'

const LIMIT = 200
/** The number of observers of this process so far: the role may start more than once. */
let count = 0

/**
 * Observes all events in every possible way, and reads pages; further observers come and go. Says `end` once all that stay have
 * seen the event of type `End` of each of their categories.
 */
export async function play({ options, meow, dice, log, say }: Stage): Promise<Playing> {
  const stop = new AbortController()
  const { signal } = stop
  const everyone = options.categories
  let open = 0

  /** Logs what one observer sees; `ended` is called at the last event. */
  const watcher = (categories: readonly string[] | null, after: number, ended?: () => void) => {
    const observer = `${++count}`
    const missing = new Set(categories ?? everyone)
    log({ kind: 'observing', observer, categories, after })
    return {
      see: ({ id, position, type, category }: RecordedEvent) => {
        log({ kind: 'seen', observer, id, position })
        if (type === 'End' && missing.delete(category) && missing.size === 0) ended?.()
      },
      over: (error?: Error) => log({ kind: 'observed', observer, ...(error ? { error: error.stack! } : {}) }),
    }
  }
  const selector = (categories: readonly string[] | null) => (categories ? { category: [...categories] } : {})
  const ended = () => --open === 0 && say('end')

  // Three that stay: one Observable of all events, one of a category, and one iteration of two categories.
  for (const categories of [null, [everyone[0]!]]) {
    open++
    const { see, over } = watcher(categories, 0, ended)
    const events = meow.events(selector(categories), { from: { after: 0 }, signal })
    events.subscribe({ next: see, error: over, complete: over })
  }
  const pull = async () => {
    const { see, over } = watcher(everyone.slice(0, 2), 0, ended)
    const events = meow.iterate(selector(everyone.slice(0, 2)), { from: { after: 0 }, signal })
    try {
      for await (const event of events) see(event)
      over()
    } catch (error) {
      over(error as Error)
    }
  }
  open++
  const pulling = pull()

  const read = async () => {
    for (let after = 0; !signal.aborted; ) {
      const categories = dice.pick([null, [dice.pick(everyone)]])
      const page = await meow.read(selector(categories), { after, limit: LIMIT }).catch(() => undefined)
      if (page) {
        const { events, position, horizon } = page
        const full = events.length === LIMIT
        log({
          kind: 'page',
          categories,
          after,
          positions: events.map((event) => event.position),
          position,
          horizon,
          full,
        })
        after = full ? position : Math.max(0, position - dice.int(0, 300))
      }
      await delay(dice.int(50, 500))
    }
  }
  const comeAndGo = async () => {
    let last = 0
    while (!signal.aborted) {
      const categories = dice.pick([null, [dice.pick(everyone)]])
      const { see, over } = watcher(categories, last)
      const positions = [last]
      const events = meow.events(selector(categories), { from: { after: last }, signal })
      const subscription = events.subscribe({
        next: (event) => {
          see(event)
          positions.push(event.position)
        },
        error: over,
      })
      await delay(dice.int(0, 400))
      subscription.unsubscribe()
      last = positions.at(-1)!
    }
  }
  const running = [pulling, read(), comeAndGo()]
  return {
    stop: async () => {
      stop.abort()
      await Promise.all(running)
    },
  }
}
