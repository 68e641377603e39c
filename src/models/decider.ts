// The interface of a decider, and the check of its options.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { methodSchema, nameSchema } from '../core/fields.ts'
import { encodeJson } from '../core/json.ts'
import { parse } from '../core/validate.ts'
import { isCategory } from '../events/category.ts'
import type { AnyCategory, DecidedOf } from '../events/types.ts'

/**
 * Says how commands `C` become events `E`, and how events become a state `S`. Both functions must be pure: they must not
 * change their arguments, and they may be called any number of times.
 *
 * @example
 * const show: Decider<{ seats: number }, RecordedEvent, { free: number }> = {
 *   category: 'show',
 *   initial: { free: 100 },
 *   evolve: (state, { data }) => ({ free: state.free - data.seats }),
 *   decide: ({ seats }, { free }) => {
 *     if (seats > free) throw new Error(`only ${free} left`)
 *     return { type: 'SeatsSold', data: { seats } }
 *   },
 * }
 */
export interface Decider<C, E, S> {
  /** The category of its streams: a name, or a zod category, which types the events that `evolve` gets (`EventOf<typeof Order>`). */
  readonly category: string | AnyCategory
  /** The state of a stream without events. */
  readonly initial: S
  /** Returns the state after one more event. */
  evolve(state: S, event: E): S
  /** Returns the events that a command leads to; if there are none, nothing is written. `meow.decide` rejects with what it throws. */
  decide(command: C, state: S): DecidedOf<E> | readonly DecidedOf<E>[]
  /** Save a snapshot when at least this many events were folded, so that a long stream is not read again; `S` must then be JSON. No snapshots by default; minimum 1. */
  readonly snapshotEvery?: number | undefined
  /** Raise it when `evolve`, `S` or an upcaster changes: older snapshots are then ignored. Default 1, minimum 0. */
  readonly snapshotVersion?: number | undefined
  /**
   * The name under which snapshots are saved, at most 100 characters. Default: a hash of `initial` and the source text of
   * `evolve`. Give a name if two deciders of a category differ in something else.
   */
  readonly name?: string | undefined
}

/** The snapshot options of a decider, complete. */
export interface SnapshotSettings {
  readonly every: number
  readonly name: string
  readonly version: number
}

const shapeSchema = z.object({
  category: z.preprocess((c) => (isCategory(c) ? c.name : c), nameSchema),
  evolve: methodSchema,
  decide: methodSchema,
  snapshotEvery: z.number().int().min(1).max(2_147_483_647).optional(),
  snapshotVersion: z.number().int().min(0).max(2_147_483_647).default(1),
  name: nameSchema.refine((s) => s.length <= 100, 'must be at most 100 characters long').optional(),
})

const checked = new WeakMap<object, SnapshotSettings | null>()

/** Checks a decider once. Returns its snapshot settings; null if it saves no snapshots. */
export function checkDecider(decider: Decider<any, any, any>): SnapshotSettings | null {
  const known = typeof decider === 'object' && decider !== null ? checked.get(decider) : undefined
  if (known !== undefined) return known
  const { snapshotEvery, snapshotVersion, name } = parse(shapeSchema, decider, 'decider')
  let snapshots: SnapshotSettings | null = null
  if (snapshotEvery) {
    const { initial, evolve } = decider
    const state = initial === undefined ? '' : encodeJson(initial, 'decider.initial')
    const own = createHash('md5').update(`${state}\n${evolve}`).digest('hex')
    snapshots = { every: snapshotEvery, name: name ?? own, version: snapshotVersion }
  }
  checked.set(decider, snapshots)
  return snapshots
}
