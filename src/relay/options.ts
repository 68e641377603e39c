import { z } from 'zod'
import type { AnyCategory } from '../events/types.ts'
import type { SubscriptionOptions } from '../subscriptions/options.ts'
import { subscriptionOptions } from '../subscriptions/options.ts'
import type { Broker } from './broker.ts'

/** What is published, and where to; a durable subscription's options but for `maxInFlight`, which is `window` here. */
export interface RelayOptions<C extends string | AnyCategory = string | AnyCategory>
  extends Omit<SubscriptionOptions<C>, 'maxInFlight'> {
  /** Where to publish to: `natsBroker()`, or three functions of yours. */
  broker: Broker
  /** What every subject begins with: tokens without blanks and wildcards, at most 128 characters. Default: the store's schema. */
  prefix?: string | undefined
  /** Messages that the broker has not confirmed yet, at most; each is of another stream. Default 256, minimum 1, at most 100_000. */
  window?: number | undefined
}

const prefix = z
  .string()
  .max(128)
  .regex(/^(?!\$)[!-~]+$/, 'must be printable ASCII without blanks, and not begin with $')
  .refine(
    (text) => text.split('.').every((token) => token !== '' && !/[*>]/.test(token)),
    'must be tokens with dots between them, without * and >',
  )

const broker = z.custom<Broker>(
  (b) => ['open', 'publish', 'close'].every((method) => typeof (b as any)?.[method] === 'function'),
  'must have the functions open, publish and close',
)

export const relayOptions = subscriptionOptions.omit({ maxInFlight: true }).extend({
  broker,
  prefix: prefix.optional(),
  window: z.number().int().min(1).max(100_000).default(256),
})
