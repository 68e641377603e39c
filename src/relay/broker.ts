// The interface of a message broker that a relay publishes to.
import { MeowError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { Message } from './message.ts'

/**
 * A message broker that a relay publishes to. It has three functions, so an adapter to another broker is a small file. If one
 * rejects, the relay tries again without end, with pauses that grow to 1 s; only RefusedError means "do not try again".
 *
 * @example
 * // Kafka, with kafkajs: messages with the same key stay in order; consumers drop repeated messages by their id
 * const kafkaBroker = (producer: Producer, topic: string): Broker => ({
 *   open: () => producer.connect(),
 *   publish: async ({ id, key, body, headers }) => {
 *     await producer.send({ topic, acks: -1, messages: [{ key, value: body, headers: { id, ...headers } }] })
 *   },
 *   close: () => producer.disconnect(),
 * })
 */
export interface Broker {
  /**
   * Connects to the broker and checks that it can take the messages. Called before the first message, and again after `close`.
   *
   * @throws RefusedError if trying again cannot help: a relay that has never been open ends with it
   */
  open(context: BrokerContext): Promise<void>
  /**
   * Publishes a message, and resolves when the broker has stored it. Up to `window` calls run at once, one for each stream. It
   * must settle by itself: `stop()` waits for it, without a limit unless `timeoutMs` is given. After a failure, or if another
   * relay takes over, the same message comes again with the same id.
   *
   * @returns `duplicate`: whether the broker already had the message; nothing if that is not known
   * @throws RefusedError if the broker will never take this message: its stream is parked (`meow.parked`), others continue
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a broker that does not know returns nothing
  publish(message: Message): Promise<{ duplicate: boolean } | void>
  /** Closes everything, whether open or not. No message is being published. It may be called twice. */
  close(): Promise<void>
}

/** What a broker may need to know when it is opened. */
export interface BrokerContext {
  /** The subjects that will be published, e.g. `['meowmx.order.>']`. */
  readonly subjects: readonly string[]
  /** How long (in ms) until another relay takes over and repeats messages. A broker that drops repeats must remember ids for longer. */
  readonly leaseMs: number
  /** The logger of the store. */
  readonly logger: Logger
}

/** A broker will never take a message, or never open, however often it is tried (`ERR_REFUSED`). The message says why, and what to do. */
export class RefusedError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_REFUSED', message, cause)
  }
}
