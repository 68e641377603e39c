// What a process manager is, and the check of its definition.
import { z } from 'zod'
import { ValidationError } from '../core/errors.ts'
import { methodSchema, ms, nameSchema } from '../core/fields.ts'
import { encodeJson } from '../core/json.ts'
import { parse } from '../core/validate.ts'
import { refuseWide, selectorShape } from '../events/selector.ts'
import type { AnyCategory, SelectedEvent } from '../events/types.ts'
import type { From } from '../live/observer.ts'
import { fromSchema } from '../live/observer.ts'
import { batchOptionsSchema } from '../subscriptions/options.ts'
import type { RetryOptions } from '../subscriptions/retry.ts'
import type { Effect, Effects } from './effects.ts'

/** An event as an input: `name` and `due` distinguish it from a timer. */
export type EventInput<E> = E & { readonly name?: undefined; readonly due?: undefined }

/** A timer of the instance that is due. */
export type TimerInput<T extends string = string> = T extends string
  ? {
      readonly type: '$timer'
      readonly name: T
      /** When it was due; it may come later. */
      readonly due: Date
      readonly category?: undefined
      readonly data?: undefined
      readonly known?: undefined
    }
  : never

/** What `react` gets besides the state and the input. */
export interface Reacting<T extends string = string> extends Effects<T> {
  /** The instance. */
  readonly id: string
  /** The time, by the database's clock. */
  readonly now: Date
}

/** The definition of a process manager. */
export interface ProcessManager<C extends string | AnyCategory = any, S = any, T extends string = string> {
  /** The name, also that of its subscription: not empty, at most 255 characters. */
  readonly name: string
  /** The categories whose events it gets: names, or zod categories, which give the inputs their types. Without it: every event. */
  readonly category?: C | readonly C[]
  /** Only events of these types. */
  readonly types?: readonly string[]
  /** Only this stream. Requires exactly one category. */
  readonly streamId?: string
  /** Only events that carry all of these tags. */
  readonly tags?: readonly string[]
  /** The names of its timers, for their types. Without it: any text. */
  readonly timers?: readonly T[]
  /** Which instance an event belongs to: a text that is not empty, of at most 255 characters; null: none. It must be pure. */
  correlate(event: SelectedEvent<C>): string | null | undefined
  /** The state of a new instance. It must be JSON. */
  readonly initial: S
  /**
   * Returns the new state of the instance after an input, and the effects of the input. It must be pure and synchronous: it may
   * be called again with the same input, if a transaction is rolled back.
   */
  react(
    state: NoInfer<S>,
    input: EventInput<SelectedEvent<C>> | TimerInput<NoInfer<T>>,
    tools: Reacting<NoInfer<T>>,
  ): { readonly state: NoInfer<S>; readonly effects?: readonly Effect<NoInfer<T>>[] }
  /** The version of the state's shape. Raise it when `S` changes. Default 1, minimum 1. */
  readonly version?: number | undefined
  /** Converts a state of an older version to this version. Without it such an input fails. It must be pure. */
  migrate?(old: any, version: number): NoInfer<S>
  /** Where a new process manager begins. Default `'start'`. */
  readonly from?: From | undefined
  /** How many partitions processes share. Default 1, minimum 1, at most 1024. An instance has one input at a time anyway. */
  readonly partitions?: number | undefined
  /**
   * After how long other processes take over the partitions of a dead one. In ms; default 10_000, minimum 100. Timers don't
   * wait for it.
   */
  readonly leaseMs?: number | undefined
  /** How often and how soon a failed input is tried again. */
  readonly retry?: RetryOptions | undefined
  /** See `ProcessOptions`. */
  readonly outage?: false | { streams?: number | undefined } | undefined
  /** What happens when the attempts of an input are used up. Default `'park'`: an event's stream is parked, a timer is kept as failed. */
  readonly onExhausted?: 'park' | 'stop' | undefined
  /** How many events one transaction handles at most. Default 100, minimum 1. */
  readonly batchSize?: number | undefined
  /** How long an ended instance is kept, and ignores late events. In ms; default 7 days, minimum 0, at most 100 years. */
  readonly keepEndedMs?: number | undefined
}

const DAY = 24 * 60 * 60 * 1_000
const handling = batchOptionsSchema.shape

const definitionSchema = z.strictObject({
  name: nameSchema,
  ...selectorShape,
  timers: z.array(nameSchema).optional(),
  correlate: methodSchema,
  initial: z.unknown(),
  react: methodSchema,
  version: z.number().int().min(1).max(2_147_483_647).default(1),
  migrate: methodSchema.optional(),
  from: fromSchema.optional(),
  partitions: z.number().int().min(1).max(1_024).default(1),
  leaseMs: ms(100).default(10_000),
  retry: handling.retry,
  outage: handling.outage,
  onExhausted: handling.onExhausted,
  batchSize: z.number().int().min(1).max(100_000).default(100),
  keepEndedMs: z
    .number()
    .min(0)
    .max(100 * 366 * DAY)
    .default(7 * DAY),
})

/** A definition after its check, with defaults. */
export interface Checked extends Omit<z.output<typeof definitionSchema>, keyof typeof selectorShape> {
  readonly definition: ProcessManager
  /** `initial`, as JSON. */
  readonly initialJson: string
}

const known = new WeakMap<object, Checked>()

/** Checks a definition once. */
export function checkProcessManager(definition: ProcessManager): Checked {
  const isObject = typeof definition === 'object' && definition !== null
  const found = isObject ? known.get(definition) : undefined
  if (found) return found
  if (!isObject) throw new ValidationError('processManager', 'must be a definition', definition)
  refuseWide(definition as { category?: any }, 'processManager')
  const checked = parse(definitionSchema, definition, 'processManager')
  const initialJson = encodeJson(definition.initial, 'processManager.initial')
  const result = Object.freeze({ ...checked, definition, initialJson }) as Checked
  known.set(definition, result)
  return result
}

/**
 * Defines a process manager: it waits for events and for timers, and reacts with new events and timers. It has an instance for
 * each thing that it watches over, with a state; `react` says what an input does to it. `meow.runProcessManager` runs it.
 *
 * @throws ValidationError if the definition is invalid
 * @example
 * const deadline = defineProcessManager({
 *   name: 'payment-deadline',
 *   category: [Order, Payment],
 *   timers: ['late'],
 *   correlate: (event) => event.streamId,
 *   initial: { paid: false },
 *   react: (state, input, { id, append, schedule, cancel, end }) => {
 *     if (input.name === 'late')
 *       return { state, effects: [append(Order.stream(id), Order.OrderCancelled({})), end()] }
 *     if (input.type === 'OrderPlaced') return { state, effects: [schedule('late', { inMs: 15 * 60_000 })] }
 *     return { state: { paid: true }, effects: [cancel('late'), end()] }
 *   },
 * })
 */
export function defineProcessManager<
  const C extends string | AnyCategory,
  S,
  const T extends string = string,
>(definition: ProcessManager<C, S, T>): ProcessManager<C, S, T> {
  checkProcessManager(definition)
  return Object.freeze(definition)
}
