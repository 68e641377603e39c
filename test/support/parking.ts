import type { Handler, Meow, ProcessOptions, RecordedEvent, SubscriptionOptions } from '../../src/index.ts'
import { named } from './named.ts'
import { ownSubscription } from './own-subscription.ts'
import { until } from './until.ts'

/**
 * A subscription whose handler fails, at its only attempt, for the streams in `bad`, and adds the names of all other events to
 * `handled`. `store`: the one that processes, if it is not the one that appends.
 */
export function parkingSubscription(meow: Meow, options: Partial<SubscriptionOptions> = {}, store = meow) {
  const own = ownSubscription(meow, options)
  const bad = new Set<string>()
  const handled: string[] = []
  const handler = (event: RecordedEvent) => {
    if (bad.has(event.streamId)) throw new Error(`${event.streamId} is bad`)
    handled.push(named(event))
  }
  const process = (handle: Handler = handler, processing: ProcessOptions = {}, other = store) =>
    own.process(handle, { retry: { maxAttempts: 1 }, ...processing }, other)
  /** Waits until these events are handled. */
  const has = (...events: string[]) =>
    until(() => events.every((event) => handled.includes(event)), { what: `${events} to be handled` })
  const parked = async () => (await meow.parked(own.name)).map(({ event }) => named(event))
  /** Waits until exactly these events are parked, in this order. */
  const parkedAre = (...events: string[]) =>
    until(async () => (await own.info()) && `${await parked()}` === `${events}`, {
      what: `${events} to be parked`,
    })
  return { ...own, bad, handled, process, has, parked, parkedAre }
}
