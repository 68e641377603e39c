import type {
  DurableSubscription,
  Handler,
  Meow,
  ProcessOptions,
  RecordedEvent,
  SubscriptionInfo,
  SubscriptionOptions,
} from '../../src/index.ts'
import { uniqueName } from './store.ts'
import { until } from './until.ts'

/** A retry policy with short pauses. */
export const soon = { minDelayMs: 1, maxDelayMs: 5 }

export interface OwnSubscription {
  readonly category: string
  readonly name: string
  /** Appends `count` events (default 1) to a stream of the category. */
  append(streamId: string, count?: number): Promise<readonly RecordedEvent[]>
  subscribe(store?: Meow): DurableSubscription
  process(
    handler: Handler,
    processing?: ProcessOptions,
    store?: Meow,
  ): ReturnType<DurableSubscription['process']>
  info(): Promise<SubscriptionInfo | undefined>
  /** Waits until the checkpoint has passed an event. */
  past(event: RecordedEvent): Promise<unknown>
}

/** A subscription with a name of its own to the streams of a category of its own. */
export function ownSubscription(meow: Meow, options: Partial<SubscriptionOptions> = {}): OwnSubscription {
  const [category, name] = [uniqueName('category'), uniqueName('subscription')]
  const subscribe = (store = meow) => store.subscription(name, { category, leaseMs: 60_000, ...options })
  const info = async () => (await meow.subscriptions()).find((one) => one.name === name)
  return {
    category,
    name,
    append: async (streamId, count = 1) =>
      (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events,
    subscribe,
    // Outages are tested in failing.test.ts: here, a handler that fails parks its event.
    process: (handler, processing = {}, store = meow) =>
      subscribe(store).process(handler, { outage: false, ...processing }),
    info,
    past: ({ position }) =>
      until(async () => ((await info())?.position ?? -1) >= position, {
        what: `the checkpoint to pass ${position}`,
      }),
  }
}
