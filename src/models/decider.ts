import { createHash } from 'node:crypto'
import { z } from 'zod'
import { method, name } from '../core/fields.ts'
import { encodeJson } from '../core/json.ts'
import { parse } from '../core/validate.ts'
import { isCategory } from '../events/category.ts'
import type { NewEvent } from '../events/event.ts'
import type { AnyCategory } from '../events/types.ts'

/**
 * How commands `C` become events `E`, and events a state `S`. Both functions are pure: they change nothing that they are
 * given, and are called as often as it takes.
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
  /** The kind of its streams: a name, or a zod category, which types the events that `evolve` gets (`EventOf<typeof Order>`). */
  readonly category: string | AnyCategory
  /** The state of a stream without events. */
  readonly initial: S
  /** The state after one more event. */
  evolve(state: S, event: E): S
  /** The events that a command leads to; none: nothing is written. What it throws is thrown by `meow.decide`. */
  decide(command: C, state: S): NewEvent | readonly NewEvent[]
  /** Remember the state once so many events were folded, so that a long stream is not read again. `S` is JSON then. None by default; minimum 1. */
  readonly snapshotEvery?: number | undefined
  /** Raise it where `evolve`, `S` or an upcaster changes: what was remembered before is ignored. Default 1, minimum 0. */
  readonly snapshotVersion?: number | undefined
  /**
   * Under which name states are remembered; at most 100 characters. Default: a hash of `initial` and of the text of `evolve`;
   * give one where that is not all that tells two deciders of a category apart.
   */
  readonly name?: string | undefined
}

/** What is to be known of a decider's snapshots. */
export interface Snapshooting {
  readonly every: number
  readonly name: string
  readonly version: number
}

const shape = z.object({
  category: z.preprocess((c) => (isCategory(c) ? c.name : c), name),
  evolve: method,
  decide: method,
  snapshotEvery: z.number().int().min(1).max(2_147_483_647).optional(),
  snapshotVersion: z.number().int().min(0).max(2_147_483_647).default(1),
  name: name.refine((s) => s.length <= 100, 'must be at most 100 characters long').optional(),
})

const checked = new WeakMap<object, Snapshooting | null>()

/** Check a decider, once; null: it takes no snapshots. */
export function checkDecider(decider: Decider<any, any, any>): Snapshooting | null {
  const known = typeof decider === 'object' && decider !== null ? checked.get(decider) : undefined
  if (known !== undefined) return known
  const { snapshotEvery, snapshotVersion, name } = parse(shape, decider, 'decider')
  let snapshooting: Snapshooting | null = null
  if (snapshotEvery) {
    const { initial, evolve } = decider
    const state = initial === undefined ? '' : encodeJson(initial, 'decider.initial')
    const own = createHash('md5').update(`${state}\n${evolve}`).digest('hex')
    snapshooting = { every: snapshotEvery, name: name ?? own, version: snapshotVersion }
  }
  checked.set(decider, snapshooting)
  return snapshooting
}
