// The instruments (counters and histograms) of a store.
import type { Meter } from '@opentelemetry/api'

/** Bucket boundaries in seconds, as the conventions recommend. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

export type Instruments = ReturnType<typeof makeInstruments>

/** Makes the instruments. Their attributes have few values: categories, subscriptions and schemas, but never streams. */
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
      'Events given to consumers of subscriptions, counted for each attempt.',
    ),
    process: duration('messaging.process.duration', 'Duration of handlers.'),
    retries: counter(
      'meowmx.subscription.retries',
      '{event}',
      'Events given to consumers again after a nack, a failure or a replay.',
    ),
    parked: counter(
      'meowmx.subscription.parked',
      '{event}',
      'Events that failed for the last time, so that their streams were parked.',
    ),
    leaseLosses: counter(
      'meowmx.subscription.lease_losses',
      '{lease}',
      'Partitions that this process lost to other executors.',
    ),
    reconnects: counter(
      'meowmx.listener.reconnects',
      '{connection}',
      'LISTEN connections that were lost and connected again.',
    ),
    notifications: counter('meowmx.listener.notifications', '{notification}', 'Notifications received.'),
  }
}
