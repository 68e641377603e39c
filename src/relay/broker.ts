import { MeowError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { Message } from './message.ts'

/**
 * Where a relay publishes to: three functions, so that another broker is a small file. What they reject with is tried again
 * for ever, after a pause that grows to 1 s; only RefusedError says that it never can be.
 *
 * @example
 * // Kafka, by kafkajs: order is kept by key; repeats are for the consumers to drop, by id
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
   * Called before the first message, and again after each `close`: reach the broker, and see that all is there.
   *
   * @throws RefusedError for what no patience mends: the relay ends with it, if it has never been open
   */
  open(context: BrokerContext): Promise<void>
  /**
   * Resolves once the broker keeps the message for good; up to `window` at once, of each stream one at a time. It has to end
   * by itself: whoever stops the relay waits for it, if without `timeoutMs` for ever. After a failure, or when another relay has taken over, the same
   * message comes again, with the same id.
   *
   * @returns `duplicate`: it was there already
   * @throws RefusedError for a message that it will never take: its stream is set aside (`meow.parked`), the others go on
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: who does not know returns nothing
  publish(message: Message): Promise<{ duplicate: boolean } | void>
  /** Let go of all, whether open or not. Nothing is being published. Twice is fine. */
  close(): Promise<void>
}

/** What a broker is told about what it is going to get. */
export interface BrokerContext {
  /** What is going to be published, e.g. `['meowmx.order.>']`. */
  readonly subjects: readonly string[]
  /** What another relay repeats, it repeats about so much later, in ms: a broker that drops repeats remembers for longer. */
  readonly leaseMs: number
  /** The store's. */
  readonly logger: Logger
}

/** A broker will never take it, however often it is tried: the message says why, and what to do. */
export class RefusedError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_REFUSED', message, cause)
  }
}
