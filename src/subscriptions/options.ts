import { z } from 'zod'
import { ms } from '../core/fields.ts'
import type { Selector } from '../events/selector.ts'
import { selectorShape } from '../events/selector.ts'
import type { AnyCategory } from '../events/types.ts'
import type { From } from '../live/observer.ts'
import { fromSchema } from '../live/observer.ts'
import type { RetryOptions } from './retry.ts'

/** What a durable subscription consumes, and how this process consumes it. The selector and `partitions` can't differ from those it was created with. */
export interface SubscriptionOptions<
  C extends string | AnyCategory = string | AnyCategory,
  T extends string = string,
> extends Selector<C, T> {
  /** Where a new subscription begins; an existing one continues at its checkpoint. Default `'start'`; `'end'` is the horizon at its creation. A position that the store has not reached yet is a HistoryLostError. */
  from?: From | undefined
  /**
   * How many deliveries an executor may have unacked; after a crash at most this many come again. Fewer, if their events are
   * larger than a quarter of `maxBufferedBytes`, but always one. Default 1000, minimum 1, at most 100_000.
   */
  maxInFlight?: number | undefined
  /** How many partitions executors share; a hash assigns each stream to one. Default 1, minimum 1, at most 1024. */
  partitions?: number | undefined
  /** After how long other executors take the partitions of a dead one. In ms; default 10_000, minimum 100. */
  leaseMs?: number | undefined
  /** After how long an unacked delivery is logged as a warning, with its position. In ms; default 30_000, minimum 1. */
  unackedWarningMs?: number | undefined
}

/** How a worker handles events. */
export interface ProcessOptions {
  /**
   * Whether what the handler writes with `context.client` commits together with the checkpoint, so that its effects happen
   * exactly once. Default false. Each partition has one transaction at a time.
   */
  transactional?: boolean | undefined
  /** How many streams are handled at once, each in order. Default 1, minimum 1, maximum 100_000. With `transactional` it must be 1: use partitions. */
  concurrency?: number | undefined
  /** The time limit of a handler: after it the handler fails and its signal aborts. In ms; minimum 1; default: no limit. */
  timeoutMs?: number | undefined
  /** How many events one transaction handles at most; only with `transactional`. Default 100, minimum 1, maximum 100_000. */
  batchSize?: number | undefined
  /** How often and how soon a failed handler is tried again. */
  retry?: RetryOptions | undefined
  /**
   * How many streams must fail, without a success between them, until this is taken for an outage. Then the worker is
   * `failing`: it counts no attempts, parks nothing, and tries one event at a time until one succeeds, with pauses that grow
   * up to `retry.maxDelayMs`. Default `{ streams: 3 }`, minimum 2; `false`: never.
   */
  outage?: false | { streams?: number | undefined } | undefined
  /**
   * What happens when the attempts of an event are used up. Default `'park'`: its stream is parked from this event on, and
   * other streams go on. `'stop'`: the worker ends with the error, and the event stays unhandled.
   */
  onExhausted?: 'park' | 'stop' | undefined
}

/** How a worker handles batches of events. */
export interface BatchOptions extends Omit<ProcessOptions, 'batchSize'> {
  /** How many events a batch has at most. Default 500, minimum 1, maximum 100_000. */
  batchSize?: number | undefined
  /**
   * How long a batch waits to be filled, from the moment when it could begin. In ms; default 0: it takes what is there; minimum
   * 0. It is full with `batchSize` events, or `maxInFlight` divided by the number of partitions if that is less.
   */
  maxWaitMs?: number | undefined
  /** Must be 1, the default: batches of one partition would not be in order. Use partitions. */
  concurrency?: number | undefined
}

export const subscriptionOptionsSchema = z.strictObject({
  ...selectorShape,
  from: fromSchema.default('start'),
  maxInFlight: z.number().int().min(1).max(100_000).default(1000),
  partitions: z.number().int().min(1).max(1_024).default(1),
  leaseMs: ms(100).default(10_000),
  unackedWarningMs: ms(1).default(30_000),
})
export interface Options extends Readonly<z.output<typeof subscriptionOptionsSchema>> {
  /** It is not created if it does not exist: it belongs to a projection, which may have been dropped. */
  readonly mustExist?: boolean
}

const retrySchema = z
  .strictObject({
    maxAttempts: z.number().int().min(1).default(10),
    minDelayMs: ms(0).default(100),
    maxDelayMs: ms(0).default(30_000),
  })
  .refine(({ minDelayMs, maxDelayMs }) => minDelayMs <= maxDelayMs, {
    path: ['maxDelayMs'],
    message: 'must not be below minDelayMs',
  })

const handlingSchema = z.strictObject({
  transactional: z.boolean().default(false),
  concurrency: z.number().int().min(1).max(100_000).default(1),
  timeoutMs: ms(1).optional(),
  batchSize: z.number().int().min(1).max(100_000).default(100),
  retry: retrySchema.prefault({}),
  outage: z
    .union([z.literal(false), z.strictObject({ streams: z.number().int().min(2).default(3) })])
    .prefault({}),
  onExhausted: z.enum(['park', 'stop']).default('park'),
})

export const processOptionsSchema = handlingSchema.refine(
  ({ transactional, concurrency }) => !transactional || concurrency === 1,
  { path: ['concurrency'], message: 'must be 1 with transactional: use partitions' },
)

export const batchOptionsSchema = handlingSchema
  .extend({
    batchSize: z.number().int().min(1).max(100_000).default(500),
    maxWaitMs: ms(0).default(0),
  })
  .refine(({ concurrency }) => concurrency === 1, {
    path: ['concurrency'],
    message: 'must be 1, or batches of a partition would not be in order: use partitions',
  })

export const nackOptionsSchema = z.strictObject({ delayMs: ms(0).default(0), error: z.unknown().optional() })
