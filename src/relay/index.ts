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
export type { Message } from './message.ts'
export { natsBroker } from './nats.ts'
export type { NatsOptions } from './nats-options.ts'
export type { RelayOptions } from './options.ts'
export { Relay } from './relay.ts'

/**
 * Publish what a subscription selects to a message broker: at least once, each stream in order, from the first event on.
 *
 * It is a durable subscription of this name, whose handler publishes: several relays of one name share its partitions, and
 * one takes over where another dies. An event counts as handled once the broker has confirmed it. While the broker is away
 * the lag grows, and all goes on by itself after; what the broker refuses (a message that is too large) is set aside with
 * its stream, as `meow.parked(name)` shows.
 *
 * **Repeats:** when a relay or its connection dies, at most `window` messages come again, with the same ids, which JetStream
 * drops within its duplicate window. Events are published as they are stored: upcasters are the reader's matter.
 *
 * @param name of the subscription; it is managed as any other (`resetSubscription(name, 'start')` publishes all anew)
 * @throws ValidationError for an option that can't be right
 * @throws (as `ready` and `done`) RefusedError where the broker says that it never will; SubscriptionMismatchError where the
 *   name exists with another selector or partition count
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
  const { broker, prefix, window, ...rest } = parse(relayOptions, options, 'options')
  const selected = [rest.category ?? []].flat()
  const subscription = meow.subscription(name, { ...(rest as SubscriptionOptions), maxInFlight: window })
  const { logger, schema } = subscription.db.settings
  const base = prefix ?? token(schema)
  return new Relay(subscription, {
    broker,
    prefix: base,
    window,
    context: { subjects: subjectsOf(base, selected), leaseMs: rest.leaseMs, logger },
  })
}
