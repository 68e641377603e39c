import type { Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { show, ValidationError } from '../core/errors.ts'
import type { NewEvent } from '../events/event.ts'
import type { NewEventOptions } from '../events/types.ts'
import type { Decider } from '../models/decider.ts'
import type { ExpectedError } from './expect.ts'
import { failure, isExpectedError, same, sameError } from './expect.ts'
import type { History } from './scene.ts'
import { Scene } from './scene.ts'

/**
 * Test a decider without a store: given these events, when this command comes, then these events are made, or that error is
 * thrown. Any test runner will do: what does not hold is an AssertionError of Node's, at the line that says it.
 *
 * The events are checked, stored and read as the store would do it, so that of a zod category `evolve` gets what it will
 * get: upcast, and with `known`; the stream's id is `given`, and all is recorded at the beginning of 1970. Events of older
 * releases, and of types that are not defined, are given by `stored`. Objects and lists that the decider is given, `initial`
 * too, are frozen, deeply: one that changes them, where all streams share them, is found out.
 *
 * @param decider as `meow.decide` takes it
 * @param events what has happened to the stream so far; default: nothing
 * @throws ValidationError where `append` would throw one: an event that the decider's category does not allow
 * @throws AssertionError where `evolve` throws
 * @example
 * given(booking, [Show.ShowAnnounced({ seats: 2 })]).when(['A1']).then([Show.SeatsSold({ seats: ['A1'] })])
 * given(booking, [Show.ShowAnnounced({ seats: 1 })]).when(['A1', 'A2']).thenThrows(/only 1 left/)
 * given(booking, [Show.ShowAnnounced({ seats: 2 })]).when(['A1']).thenState({ free: 1, sold: ['A1'] })
 */
export function given<C, E, S, R extends NewEvent | readonly NewEvent[]>(
  decider: Decider<C, E, S> & { decide(command: C, state: S): R },
  events: History = [],
): Given<C, S, Made<R>> {
  return new Given(new Scene(decider, events, given))
}

/** Of what `decide` returns, the events. */
type Made<R> = R extends readonly (infer N extends NewEvent)[] ? N : R extends NewEvent ? R : never

/** A stream in some state: what comes when a command does? It may be asked several times. */
export class Given<C, S, N extends NewEvent> {
  readonly #scene: Scene<C, S>

  /** @internal Use `given`. */
  constructor(scene: Scene<C, S>) {
    this.#scene = scene
  }

  /** Decide on a command. */
  when(command: C): When<S, N> {
    return new When(this.#scene, command, this.when)
  }

  /** The state is this one. */
  thenState(expected: S): void {
    same(this.#scene.state, expected, `${this.#scene.label}: another state than expected`, this.thenState)
  }
}

/** What came of a command. */
export class When<S, N extends NewEvent> {
  readonly #scene: Scene<any, S>
  readonly #label: string
  readonly #outcome: { readonly made: Request; readonly state: S } | { readonly error: unknown }

  /** @internal Use `given(…).when(…)`. */
  constructor(scene: Scene<any, S>, command: unknown, caller: object) {
    this.#scene = scene
    this.#label = `${scene.label}, when ${show(command)}`
    this.#outcome = scene.decide(command, this.#label, caller)
  }

  /**
   * It made these events, in this order. `id` and `metadata` are compared where the expected event has them, `schemaVersion`
   * aside.
   */
  // biome-ignore lint/suspicious/noThenProperty: given, when, then is how the pattern goes; what this returns is no thenable
  then(events: (N & NewEventOptions) | readonly (N & NewEventOptions)[]): Then<S> {
    if (typeof events === 'function')
      throw new TypeError('given(…).when(…) is no promise: end it by then([events]), and do not await it')
    const expected = encodeRequest(this.#scene.stream, events, 'any', 'then.').events
    const wanted = [events].flat()
    const { made } = this.#decided('events', this.then)
    const comparable = ({ type, data, id, metadata }: Request['events'][number], i: number) => {
      const { schemaVersion: _, ...given } = { ...wanted[i]?.metadata } as Record<string, unknown>
      const { schemaVersion: __, ...own } = JSON.parse(metadata)
      return {
        type,
        data: JSON.parse(data),
        ...(wanted[i]?.id === undefined ? {} : { id }),
        ...(Object.keys(given).length === 0 ? {} : { metadata: own }),
      }
    }
    const what = `${this.#label}: other events than expected`
    same(made.events.map(comparable), expected.map(comparable), what, this.then)
    return this.#then()
  }

  /** It made no event. */
  thenNothing(): Then<S> {
    const { made } = this.#decided('no events', this.thenNothing)
    const events = made.events.map(({ type, data }) => ({ type, data: JSON.parse(data) }))
    same(events, [], `${this.#label}: expected no events`, this.thenNothing)
    return this.#then()
  }

  /**
   * It was refused: by an error with this name, message and fields, of this class, or whose text matches; by default any. An
   * event that its category does not allow is a ValidationError.
   */
  thenThrows(expected?: ExpectedError): void {
    if (!isExpectedError(expected))
      throw new ValidationError('expected', 'must be an Error, a class of errors or a RegExp', expected)
    if (!('error' in this.#outcome)) {
      const made = this.#outcome.made.events.map(({ type }) => type)
      throw failure(`${this.#label}: expected an error, and it made ${show(made)}`, this.thenThrows)
    }
    const what = `${this.#label}: another error than expected`
    sameError(this.#outcome.error, expected, what, this.thenThrows)
  }

  /** The state after the events that it made is this one. */
  thenState(expected: S): void {
    const { state } = this.#decided('a state', this.thenState)
    same(state, expected, `${this.#label}: another state than expected`, this.thenState)
  }

  #then(): Then<S> {
    return { thenState: (expected) => this.thenState(expected) }
  }

  #decided(expected: string, caller: object) {
    if (!('error' in this.#outcome)) return this.#outcome
    const { error: cause } = this.#outcome
    throw failure(`${this.#label}: expected ${expected}, and it threw ${cause}`, caller, { cause })
  }
}

/** What may be said of the events' consequences. */
export interface Then<S> {
  /** The state after them is this one. */
  thenState(expected: S): void
}
