import type { Meter } from '@opentelemetry/api'

/** In s, as the conventions have them. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

export type Instruments = ReturnType<typeof makeInstruments>

/** What is counted and measured. Attributes are few-valued: categories, subscriptions and schemas, never streams. */
export function makeInstruments(meter: Meter) {
  const duration = (name: string, description: string) =>
    meter.createHistogram(name, {
      unit: 's',
      description,
      advice: { explicitBucketBoundaries: BUCKETS },
    })
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(name, { unit, description })
  return {
    operation: duration('messaging.client.operation.duration', 'Duration of appends, loads and reads.'),
    sent: counter('messaging.client.sent.messages', '{message}', 'Events sent to the store.'),
    consumed: counter(
      'messaging.client.consumed.messages',
      '{message}',
      'Events given to consumers of subscriptions, each attempt.',
    ),
    process: duration('messaging.process.duration', 'Duration of handlers.'),
    retries: counter(
      'meowmx.subscription.retries',
      '{event}',
      'Events given to consumers once more: nacked, or failed, or replayed.',
    ),
    parked: counter(
      'meowmx.subscription.parked',
      '{event}',
      'Events whose stream was set aside from them on.',
    ),
    leaseLosses: counter('meowmx.subscription.lease_losses', '{lease}', 'Partitions lost to others.'),
    reconnects: counter(
      'meowmx.listener.reconnects',
      '{connection}',
      'LISTEN connections that stand again after they were lost.',
    ),
    notifications: counter('meowmx.listener.notifications', '{notification}', 'Notifications received.'),
  }
}
