import type { Observable } from 'rxjs'
import type { Meow, SubscriptionStatus } from '../../src/index.ts'
import { relay } from '../../src/relay/index.ts'
import { uniqueName } from './store.ts'
import { until } from './until.ts'

export interface Consumers {
  readonly category: string
  /** The consumers that have ended, with their errors. */
  readonly ended: string[]
  /** The states of the two workers. */
  readonly statuses: readonly Observable<SubscriptionStatus>[]
  /** Appends an event with another store; `all` waits until every consumer has got it. */
  append(): Promise<{ position: number; all(): Promise<unknown> }>
  stop(): Promise<void>
}

/** Consumers of every kind that run until they are stopped, on one new category. `appender`: the store that appends. */
export async function consumersOf(store: Meow, appender: Meow): Promise<Consumers> {
  const category = uniqueName('all')
  const seen: Record<string, number[]> = {}
  const ended: string[] = []
  const stops: (() => unknown)[] = []
  const note = (way: string) => {
    seen[way] = []
    return ({ position }: { position: number }) => void seen[way]!.push(position)
  }
  const end = (way: string) => (error?: unknown) => void ended.push(`${way}: ${error}`)
  const subscription = (way: string) => store.subscription(`${category}_${way}`, { category, leaseMs: 900 })
  const statuses = ['plain', 'transactional'].map((way) => {
    const subscribed = subscription(way)
    const worker = subscribed.process(note(way), { transactional: way === 'transactional' })
    worker.done.then(end(way), end(way))
    stops.push(() => worker.stop())
    return subscribed.status$
  })
  const deliveries = note('deliveries')
  const consuming = subscription('deliveries')
    .deliveries()
    .subscribe({
      next: (delivery) => {
        deliveries(delivery.event)
        delivery.ack().catch(() => {})
      },
      error: end('deliveries'),
    })
  const observing = store.events({ category }).subscribe({ next: note('events'), error: end('events') })
  const iterated = note('iterate')
  const stop = new AbortController()
  const iterating = (async () => {
    for await (const one of store.iterate({ category }, { signal: stop.signal })) iterated(one)
  })().catch(end('iterate'))
  const published = note('relay')
  const relaying = relay(store, `${category}_relay`, {
    category,
    leaseMs: 900,
    broker: {
      open: async () => {},
      publish: async ({ event }) => published(event),
      close: async () => {},
    },
  })
  relaying.done.then(end('relay'), end('relay'))
  stops.push(
    () => consuming.unsubscribe(),
    () => observing.unsubscribe(),
    () => {
      stop.abort()
      return iterating
    },
    () => relaying.stop(),
  )
  return {
    category,
    ended,
    statuses,
    append: async () => {
      const { position } = await appender.append(
        { category, streamId: uniqueName('s') },
        { type: 'T', data: {} },
      )
      return {
        position,
        all: () =>
          until(
            () =>
              Object.values(seen).every(
                (positions) => positions.length > 0 && Math.max(...positions) >= position,
              ),
            {
              what: `all to get ${position}`,
              timeoutMs: 60_000,
            },
          ).catch((error) => {
            throw new Error(`${error.message}: ${JSON.stringify(seen)} ${ended}`)
          }),
      }
    },
    stop: async () => {
      ended.push('stopping')
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}
