// `jetstream`: subscriptions that JetStream feeds with what a relay publishes.
import { systemClock } from '../../core/clock.ts'
import { ClosedError } from '../../core/errors.ts'
import type { AnyCategory, SelectedEvent } from '../../events/types.ts'
import { Connection } from './connection.ts'
import type { JetStreamOptions, JetStreamSettings, JetStreamSubscriptionOptions } from './options.ts'
import { jetStreamSettings, subscriptionSettings } from './options.ts'
import { JetStreamSubscription } from './subscription.ts'

/**
 * Consumes from NATS JetStream what a relay with `subjectPartitions` publishes, with the handlers that a subscription in PostgreSQL
 * has. It needs the packages `@nats-io/transport-node` and `@nats-io/jetstream`, version 3.
 *
 * @throws ValidationError if an option is invalid
 * @example
 * relay(meow, 'orders-to-nats', { category: 'order', subjectPartitions: 64, broker: natsBroker({ stream: 'ORDERS', create: true }) })
 * const events = jetstream({ stream: 'ORDERS' }) // in any process, without a connection to PostgreSQL
 * const worker = events.subscription('mailer', { category: 'order' }).process((event) => sendMail(event.data))
 */
export function jetstream(options: JetStreamOptions): JetStream {
  return new JetStream(jetStreamSettings(options))
}

/** One connection to NATS, and the subscriptions that it feeds. `jetstream` makes it. */
export class JetStream implements AsyncDisposable {
  readonly #settings: JetStreamSettings
  readonly #connection: Connection
  readonly #running = new Set<{ stop(): Promise<void> }>()
  #closed = false

  /** @internal Use `jetstream`. */
  constructor(settings: JetStreamSettings) {
    this.#settings = settings
    this.#connection = new Connection(settings)
  }

  /**
   * A durable subscription with this name: for each partition a consumer of JetStream, which exists until somebody deletes it.
   *
   * @throws ValidationError if the name or an option is invalid
   */
  subscription<C extends string | AnyCategory = string>(
    name: string,
    options: JetStreamSubscriptionOptions<C> = {},
  ): JetStreamSubscription<SelectedEvent<C>> {
    if (this.#closed) throw new ClosedError('jetstream()')
    const owner = {
      settings: this.#settings,
      connection: this.#connection,
      clock: systemClock,
      register: (running: { stop(): Promise<void> }) => {
        this.#running.add(running)
        return () => this.#running.delete(running)
      },
    }
    return new JetStreamSubscription(owner, subscriptionSettings(name, options))
  }

  /** Stops all workers, which finish their running handlers, ends the Observables, and closes the connection. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#running].map((one) => one.stop()))
    await this.#connection.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
