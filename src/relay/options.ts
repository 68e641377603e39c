// The options of `relay`.
import { z } from 'zod'
import type { AnyCategory } from '../events/types.ts'
import type { SubscriptionOptions } from '../subscriptions/options.ts'
import { subscriptionOptionsSchema } from '../subscriptions/options.ts'
import type { Broker } from './broker.ts'

/** Options of `relay`: those of a durable subscription (but `window` replaces `maxInFlight`), the broker and the subjects. */
export interface RelayOptions<C extends string | AnyCategory = string | AnyCategory>
  extends Omit<SubscriptionOptions<C>, 'maxInFlight'> {
  /** The broker to publish to: `natsBroker()`, or an object of yours with three functions. */
  broker: Broker
  /** The first part of every subject: tokens without spaces and wildcards, at most 128 characters. Default: the store's schema. */
  prefix?: string | undefined
  /** The largest number of messages that the broker has not confirmed, at most one of each stream. Default 256, minimum 1, maximum 100_000. */
  window?: number | undefined
  /**
   * Puts the partition of the stream into each subject, `<prefix>.<category>.<partition>.<type>`, so that each partition can have
   * a consumer of its own, as those of `jetstream()` have. It does not depend on `partitions`, and can't be changed for messages that are
   * published. Default: no partition in the subject; minimum 1, at most 1024.
   */
  subjectPartitions?: number | undefined
}

export const prefixSchema = z
  .string()
  .max(128)
  .regex(/^(?!\$)[!-~]+$/, 'must be printable ASCII without spaces, and must not begin with $')
  .refine(
    (text) => text.split('.').every((token) => token !== '' && !/[*>]/.test(token)),
    'must be tokens separated by dots, without * and >',
  )

const brokerSchema = z.custom<Broker>(
  (b) => ['open', 'publish', 'close'].every((method) => typeof (b as any)?.[method] === 'function'),
  'must have the functions open, publish and close',
)

export const relayOptions = subscriptionOptionsSchema.omit({ maxInFlight: true }).extend({
  broker: brokerSchema,
  prefix: prefixSchema.optional(),
  window: z.number().int().min(1).max(100_000).default(256),
  subjectPartitions: z.number().int().min(1).max(1_024).optional(),
})
