import { z } from 'zod'
import { ms } from '../core/fields.ts'
import type { Selector } from '../events/selector.ts'
import { selectorShape } from '../events/selector.ts'
import type { AnyCategory } from '../events/types.ts'
import type { From } from '../live/observer.ts'
import { from } from '../live/observer.ts'
import type { RetryOptions } from './retry.ts'

/** What a durable subscription consumes, and how this process takes part in it. The selector and `partitions` are fixed once it exists. */
export interface SubscriptionOptions<C extends string | AnyCategory = string | AnyCategory>
  extends Selector<C> {
  /** Where a new subscription begins; an existing one goes on at its checkpoint. Default `'start'`; `'end'`: the horizon at its creation. After a position that the store has not come to yet: HistoryLostError. */
  from?: From | undefined
  /**
   * Unacked deliveries at most, per executor; after a takeover so many come again at most. Fewer, if they are larger than a
   * quarter of `maxBufferedBytes`; one always. Default 256, minimum 1, at most 100_000.
   */
  maxInFlight?: number | undefined
  /** Executors share them; streams are spread over them by hash. Default 1, minimum 1, at most 1024. */
  partitions?: number | undefined
  /** How soon a dead executor's partitions move to others. In ms; default 10_000, minimum 100. */
  leaseMs?: number | undefined
  /** Warn, with the position, of a delivery that nobody acks. In ms; default 30_000, minimum 1. */
  unackedWarningMs?: number | undefined
}

/** How a worker handles events. */
export interface ProcessOptions {
  /**
   * Default false. True: what the handler writes through `context.client`, and the checkpoint, commit together: effects
   * exactly once. One transaction a partition at a time.
   */
  transactional?: boolean | undefined
  /** Streams handled at once, each in order. Default 1, minimum 1. Not with `transactional`: use partitions. */
  concurrency?: number | undefined
  /** A handler that takes longer fails, its signal aborted. In ms; none by default, minimum 1. */
  timeoutMs?: number | undefined
  /** Events of one transaction at most; with `transactional` alone. Default 100, minimum 1. */
  batchSize?: number | undefined
  /** How often and how soon a handler that fails is tried again. */
  retry?: RetryOptions | undefined
  /**
   * When so many streams fail without a success between them, it is an outage and not the events' fault: the worker is
   * `failing`, counts no attempts, parks nothing, and tries one event at a time, after pauses that grow to
   * `retry.maxDelayMs`, until one succeeds. Default `{ streams: 3 }`, minimum 2; `false`: each event for itself.
   */
  outage?: false | { streams?: number | undefined } | undefined
  /**
   * What becomes of an event whose attempts are used up. Default `'park'`: its stream is set aside from it on, and the
   * others flow. `'stop'`: the worker ends with the error, and the event stays undone.
   */
  onExhausted?: 'park' | 'stop' | undefined
}

export const subscriptionOptions = z.strictObject({
  ...selectorShape,
  from: from.default('start'),
  maxInFlight: z.number().int().min(1).max(100_000).default(256),
  partitions: z.number().int().min(1).max(1_024).default(1),
  leaseMs: ms(100).default(10_000),
  unackedWarningMs: ms(1).default(30_000),
})
export type Options = Readonly<z.output<typeof subscriptionOptions>>

const retry = z
  .strictObject({
    maxAttempts: z.number().int().min(1).default(10),
    minDelayMs: ms(0).default(100),
    maxDelayMs: ms(0).default(30_000),
  })
  .refine(({ minDelayMs, maxDelayMs }) => minDelayMs <= maxDelayMs, {
    path: ['maxDelayMs'],
    message: 'must not be below minDelayMs',
  })

export const processOptions = z
  .strictObject({
    transactional: z.boolean().default(false),
    concurrency: z.number().int().min(1).max(100_000).default(1),
    timeoutMs: ms(1).optional(),
    batchSize: z.number().int().min(1).max(100_000).default(100),
    retry: retry.prefault({}),
    outage: z
      .union([z.literal(false), z.strictObject({ streams: z.number().int().min(2).default(3) })])
      .prefault({}),
    onExhausted: z.enum(['park', 'stop']).default('park'),
  })
  .refine(({ transactional, concurrency }) => !transactional || concurrency === 1, {
    path: ['concurrency'],
    message: 'must be 1 where transactional: use partitions',
  })

export const nackOptions = z.strictObject({ delayMs: ms(0).default(0), error: z.unknown().optional() })
