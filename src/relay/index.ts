// `relay`: publishes events to a message broker; published as `meowmx/relay`.
import { parse } from '../core/validate.ts'
import { refuseWide } from '../events/selector.ts'
import type { AnyCategory } from '../events/types.ts'
import type { Meow } from '../meow.ts'
import type { SubscriptionOptions } from '../subscriptions/options.ts'
import { subjectsOf } from './message.ts'
import { token } from './names.ts'
import type { RelayOptions } from './options.ts'
import { relayOptions } from './options.ts'
import { Relay } from './relay.ts'

export type { Broker, BrokerContext } from './broker.ts'
export { RefusedError } from './broker.ts'
export type { JetStreamDelivery } from './jetstream/delivery.ts'
export { JetStream, jetstream } from './jetstream/index.ts'
export type {
  JetStreamOptions,
  JetStreamProcessOptions,
  JetStreamSubscriptionOptions,
} from './jetstream/options.ts'
export type { ParkedJetStream } from './jetstream/parked.ts'
export type { JetStreamStatus } from './jetstream/status.ts'
export { JetStreamSubscription } from './jetstream/subscription.ts'
export type { JetStreamHandlerContext } from './jetstream/worker.ts'
export type { Message } from './message.ts'
export { natsBroker } from './nats.ts'
export type { NatsOptions } from './nats-options.ts'
export type { RelayOptions } from './options.ts'
export { Relay } from './relay.ts'

/**
 * Publishes the events of a subscription to a message broker: each event at least once, each stream in order, from the first
 * event on.
 *
 * The relay is a durable subscription with this name, whose handler publishes. Several relays with the same name share its
 * partitions, and if one dies another takes over. An event is acked when the broker has confirmed it. While the broker is
 * not reachable the lag grows; afterwards the relay continues by itself. If the broker refuses a message, for instance
 * because it is too large, the stream is parked (see `meow.parked(name)`).
 *
 * **Repeats:** when a relay or its connection dies, at most `window` messages are published again, with the same ids. JetStream
 * drops them within its duplicate window. Events are published as they are stored; consumers have to upcast them.
 *
 * @param name the name of the subscription; manage it as any other (`resetSubscription(name, 'start')` publishes all again)
 * @throws ValidationError if an option is invalid
 * @throws RefusedError (from `ready` and `done`) if the broker refuses to open
 * @throws SubscriptionMismatchError (from `ready` and `done`) if the name exists with another selector or number of partitions
 * @example
 * const orders = relay(meow, 'orders-to-nats', {
 *   category: 'order',
 *   broker: natsBroker({ servers: 'nats://localhost:4222', stream: 'ORDERS', create: true }),
 * })
 * await orders.ready
 * // nats sub 'meowmx.order.*'
 * await orders.stop()
 */
export function relay<C extends string | AnyCategory = string>(
  meow: Meow,
  name: string,
  options: RelayOptions<C>,
): Relay {
  refuseWide(options, 'options')
  const { broker, prefix, window, subjectPartitions, ...rest } = parse(relayOptions, options, 'options')
  const selected = [rest.category ?? []].flat()
  const subscription = meow.subscription(name, { ...(rest as SubscriptionOptions), maxInFlight: window })
  const { logger, schema } = subscription.db.settings
  const base = prefix ?? token(schema)
  return new Relay(subscription, {
    broker,
    prefix: base,
    window,
    subjectPartitions,
    context: { subjects: subjectsOf(base, selected), leaseMs: rest.leaseMs, logger },
  })
}
