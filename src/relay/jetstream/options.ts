// The options of `jetstream` and of its subscriptions.
import { z } from 'zod'
import { ValidationError } from '../../core/errors.ts'
import { ms } from '../../core/fields.ts'
import type { Logger } from '../../core/logger.ts'
import { consoleLogger, redacting, silent } from '../../core/logger.ts'
import { parse } from '../../core/validate.ts'
import type { Selection } from '../../events/selector.ts'
import { select, selectorShape } from '../../events/selector.ts'
import type { AnyCategory } from '../../events/types.ts'
import { fromSchema } from '../../live/observer.ts'
import { processOptionsSchema } from '../../subscriptions/options.ts'
import type { RetryOptions } from '../../subscriptions/retry.ts'
import type { NatsOptions, NatsSettings } from '../nats-options.ts'
import { natsSettings } from '../nats-options.ts'
import { prefixSchema } from '../options.ts'

/** Options of `jetstream`: how to reach NATS, and the stream that a relay with `subjectPartitions` publishes to. */
export interface JetStreamOptions extends Pick<NatsOptions, 'servers' | 'connection' | 'timeoutMs'> {
  /** The JetStream stream that the relay publishes to. */
  stream: string
  /** The first part of the subjects, as the relay has it. Default `'meowmx'`. */
  prefix?: string | undefined
  /**
   * After how long without a sign of life of its process a message is delivered to another one. Handlers may take longer: while
   * they run, the process tells the server. In ms; default 30_000, minimum 1000.
   */
  ackWaitMs?: number | undefined
  /** As that of `connect`: by default errors and warnings go to `console`; `false`: nothing is logged. */
  logger?: Logger | false | undefined
}

/** Options of a subscription that JetStream feeds. */
export interface JetStreamSubscriptionOptions<C extends string | AnyCategory = string | AnyCategory> {
  /** The name of a category, or a zod category, or an array of these. Default: every category in the stream. */
  category?: C | readonly C[]
  /** Only events of these types; the others are acked unseen. */
  types?: readonly string[]
  /** The relay's `subjectPartitions`. Default 64, minimum 1, at most 1024. */
  partitions?: number | undefined
  /**
   * Where a new subscription begins in the JetStream stream; an existing one continues. Default `'start'`: at the first message that
   * JetStream still has. `'end'`: with what is published from now on. `{ since }`: with what was published since that moment.
   */
  from?: 'start' | 'end' | { since: Date | string } | undefined
}

/** How a worker of JetStream handles events: as `ProcessOptions`, without transactions, batches and outages. */
export interface JetStreamProcessOptions {
  /** How many events are handled at once, each of another partition. Default 1, minimum 1, maximum 100_000. */
  concurrency?: number | undefined
  /** The time limit of a handler: after it the handler fails and its signal aborts. In ms; minimum 1; default: no limit. */
  timeoutMs?: number | undefined
  /** How often and how soon a failed handler is tried again. The server counts the attempts: each delivery is one. */
  retry?: RetryOptions | undefined
  /** What happens when the attempts of an event are used up. Default `'park'`; `'stop'`: the worker ends with the error. */
  onExhausted?: 'park' | 'stop' | undefined
}

const loggerSchema = z
  .union(
    [
      z.literal(false),
      z.custom<Logger>((l) =>
        ['debug', 'info', 'warn', 'error'].every((level) => typeof (l as any)?.[level] === 'function'),
      ),
    ],
    { error: 'must have the methods debug, info, warn and error, or be false' },
  )
  .default(consoleLogger)
  .transform((given) => (given === false ? silent : redacting(given)))

const ownSchema = z.object({
  stream: z.string(),
  prefix: prefixSchema.default('meowmx'),
  ackWaitMs: ms(1_000).default(30_000),
  logger: loggerSchema,
})

/** Options of `natsBroker` that only a relay has. */
const PUBLISHING = ['create', 'check', 'duplicateWindowMs']

export interface JetStreamSettings {
  readonly nats: NatsSettings
  readonly stream: string
  /** The stream of JetStream that holds what is parked. */
  readonly parkedStream: string
  readonly prefix: string
  readonly ackWaitMs: number
  readonly logger: Logger
}

export function jetStreamSettings(options: JetStreamOptions): JetStreamSettings {
  const { prefix, ackWaitMs, logger, ...rest } = (options ?? {}) as JetStreamOptions
  for (const key of PUBLISHING)
    if (key in rest)
      throw new ValidationError(`options.${key}`, 'is not an option', (rest as Record<string, unknown>)[key])
  const nats = natsSettings(rest)
  const own = parse(ownSchema, { stream: nats.stream, prefix, ackWaitMs, logger }, 'options')
  return Object.freeze({ nats, ...own, parkedStream: `${own.stream}_PARKED` })
}

const durableNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]{1,200}$/,
    'must be 1 to 200 letters, digits, - and _, as JetStream has it for consumers',
  )

const subscriptionSchema = z.strictObject({
  category: selectorShape.category,
  types: selectorShape.types,
  partitions: z.number().int().min(1).max(1_024).default(64),
  from: fromSchema
    .refine((from) => typeof from === 'string' || !('after' in from), {
      message: `must be 'start', 'end' or { since }: JetStream does not know the store's positions`,
    })
    .default('start'),
})

export interface SubscriptionSettings {
  readonly name: string
  readonly selection: Selection
  readonly partitions: number
  readonly from: 'start' | 'end' | { readonly since: Date }
}

export function subscriptionSettings(
  name: string,
  options: JetStreamSubscriptionOptions,
): SubscriptionSettings {
  parse(durableNameSchema, name, 'name')
  const { category: _, types: __, ...own } = parse(subscriptionSchema, options, 'options')
  const { category, types } = options
  const selector = {
    ...('category' in options ? { category } : {}),
    ...('types' in options ? { types } : {}),
  }
  return Object.freeze({
    name,
    selection: select(selector as object, 'options'),
    ...(own as Pick<SubscriptionSettings, 'partitions' | 'from'>),
  })
}

/** The schema of `JetStreamProcessOptions`: what needs PostgreSQL is not an option here. */
export const jetStreamProcessSchema = z.strictObject({
  concurrency: processOptionsSchema.shape.concurrency,
  timeoutMs: processOptionsSchema.shape.timeoutMs,
  retry: processOptionsSchema.shape.retry,
  onExhausted: processOptionsSchema.shape.onExhausted,
})
