// `given`, the entry of the testing kit for deciders: given events, when a command comes, then these events are made.
import type { Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { show, ValidationError } from '../core/errors.ts'
import type { NewEvent } from '../events/event.ts'
import type { AnyCategory, NewEventOptions } from '../events/types.ts'
import type { Decider } from '../models/decider.ts'
import type { DecisionModel } from '../models/decision-model.ts'
import { isDecisionModel } from '../models/decision-model.ts'
import type { ProcessManager } from '../processes/define.ts'
import type { ProjectionDefinition } from '../projections/definition.ts'
import type { ExpectedError } from './expect.ts'
import { assertError, assertSame, failure, isExpectedError } from './expect.ts'
import type { ModelHistory } from './given-model.ts'
import { GivenModel } from './given-model.ts'
import type { GivenProjectionOptions, ProjectionHistory } from './given-projection.ts'
import { GivenProjection } from './given-projection.ts'
import type { ProcessEvent } from './process.ts'
import { GivenProcess } from './process.ts'
import type { History } from './scenario.ts'
import { Scenario } from './scenario.ts'

/**
 * Tests a decider without a store: given these events, when this command comes, then it makes these events or throws this
 * error. It works with every test runner: a failed expectation is an AssertionError of node:assert that points to your line.
 *
 * The events are checked, stored and read as in a store, so `evolve` gets the events of a zod category as in production: upcast
 * and with `known`. The id of the stream is `given`, and all events are recorded at the beginning of 1970. To give events of
 * older releases, or of types that are not defined, use `stored`. Objects and arrays that the decider gets, and `initial`,
 * are deeply frozen, so a decider that changes them fails.
 *
 * @param decider a decider as `meow.decide` takes it
 * @param events the events that the stream has so far; none by default
 * @throws ValidationError if `append` would throw one, for instance for an event that the decider's category does not allow
 * @throws AssertionError if `evolve` throws
 * @example
 * given(booking, [Show.ShowAnnounced({ seats: 2 })]).when(['A1']).then([Show.SeatsSold({ seats: ['A1'] })])
 * given(booking, [Show.ShowAnnounced({ seats: 1 })]).when(['A1', 'A2']).thenThrows(/only 1 left/)
 * given(booking, [Show.ShowAnnounced({ seats: 2 })]).when(['A1']).thenState({ free: 1, sold: ['A1'] })
 */
export function given<C, E, S, R extends NewEvent | readonly NewEvent[]>(
  decider: Decider<C, E, S> & { decide(command: C, state: S): R },
  events?: History,
): Given<C, S, Made<R>>
/**
 * Tests a projection: given these events, its tables have those rows. It runs `setup` and `handle` on a real server, in a
 * transaction that is rolled back. Then each event is handled twice, and the tables must be the same: this finds handlers that do
 * damage when they run again, for instance if they are also used outside of a projection.
 *
 * @param projection a projection as `defineProjection` returns it
 * @param events `{ stream, events }` for each stream, in order; or plain events of the only category
 * @throws ValidationError if an event is not one that `append` would take, or an option is invalid
 * @example
 * await given(orders, [{ stream: Order.stream('1'), events: Order.OrderPlaced({ customer: 'ann', price: 9 }) }])
 *   .thenRows('select customer, price from orders', [{ customer: 'ann', price: 9 }])
 */
export function given<C extends string | AnyCategory>(
  projection: ProjectionDefinition<C>,
  events?: ProjectionHistory,
  options?: GivenProjectionOptions,
): GivenProjection
/**
 * Tests a decision model without a store, in the same way. The events are of any streams; those that match the model's query for the
 * command are folded.
 *
 * @param model a decision model as `meow.decide` takes it
 * @param events what there is already: events with tags, or `{ stream, events }`; none by default
 * @example
 * given(subscribe, [{ type: 'CourseDefined', data: { seats: 1 }, tags: ['course:sql'] }])
 *   .when({ course: 'sql', student: 'ada' })
 *   .then({ stream, events: { type: 'StudentSubscribed', data: {}, tags: ['course:sql', 'student:ada'] } })
 */
export function given<C, E, S>(model: DecisionModel<C, E, S>, events?: ModelHistory): GivenModel<C, S>
/**
 * Tests a process manager without a store: given these events, when this one comes, or `afterMs` time, then it makes these effects.
 * The clock begins at 1970 and stands still unless `afterMs` moves it.
 *
 * @example
 * given(deadline, placed).afterMs(2000).then([effects.append(Order.stream('given'), Order.Cancelled({})), effects.end()])
 */
export function given<C extends string | AnyCategory, S, T extends string>(
  processManager: ProcessManager<C, S, T>,
  ...events: (ProcessEvent | readonly ProcessEvent[])[]
): GivenProcess<S>
export function given(tested: any, ...rest: any[]): any {
  if (typeof tested?.react === 'function')
    return new GivenProcess(
      tested,
      rest.flat().map((event: ProcessEvent) => ({ event })),
    )
  const [events = [], options = {}] = rest
  if (typeof tested === 'object' && tested !== null && 'setup' in tested)
    return new GivenProjection(tested, [events].flat(), options)
  return isDecisionModel(tested)
    ? new GivenModel(tested, events)
    : new Given(new Scenario(tested, events, given))
}

/** The type of the events that `decide` returns. */
type Made<R> = R extends readonly (infer N extends NewEvent)[] ? N : R extends NewEvent ? R : never

/** A stream in a given state. You may call `when` several times: each call starts from that state. */
export class Given<C, S, N extends NewEvent> {
  readonly #scene: Scenario<C, S>

  /** @internal Use `given`. */
  constructor(scene: Scenario<C, S>) {
    this.#scene = scene
  }

  /** Decides on a command. Then check the outcome with `then`, `thenNothing`, `thenThrows` or `thenState`. */
  when(command: C): When<S, N> {
    return new When(this.#scene, command, this.when)
  }

  /** Checks that the state equals `expected`. Throws AssertionError if it does not. */
  thenState(expected: S): void {
    assertSame(
      this.#scene.state,
      expected,
      `${this.#scene.label}: the state is not as expected`,
      this.thenState,
    )
  }
}

/** The outcome of a command. */
export class When<S, N extends NewEvent> {
  readonly #scene: Scenario<any, S>
  readonly #label: string
  readonly #outcome: { readonly made: Request; readonly state: S } | { readonly error: unknown }

  /** @internal Use `given(…).when(…)`. */
  constructor(scene: Scenario<any, S>, command: unknown, caller: object) {
    this.#scene = scene
    this.#label = `${scene.label}, when ${show(command)}`
    this.#outcome = scene.decide(command, this.#label, caller)
  }

  /**
   * Checks that the command made exactly these events, in this order. `id` and `metadata` are compared only if the expected
   * event has them; `metadata.schemaVersion` is never compared. Throws AssertionError if they differ.
   */
  // biome-ignore lint/suspicious/noThenProperty: the pattern is called given, when, then; what this returns is not a thenable
  then(events: (N & NewEventOptions) | readonly (N & NewEventOptions)[]): Then<S> {
    if (typeof events === 'function')
      throw new TypeError('given(…).when(…) is not a promise: call then([events]) on it, and do not await it')
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
    const what = `${this.#label}: the events are not as expected`
    assertSame(made.events.map(comparable), expected.map(comparable), what, this.then)
    return this.#then()
  }

  /** Checks that the command made no event. Throws AssertionError if it made one, or was refused. */
  thenNothing(): Then<S> {
    const { made } = this.#decided('no events', this.thenNothing)
    const events = made.events.map(({ type, data }) => ({ type, data: JSON.parse(data) }))
    assertSame(events, [], `${this.#label}: expected no events`, this.thenNothing)
    return this.#then()
  }

  /**
   * Checks that the command was refused. `expected` is an Error (same name, message and fields), a class of errors, or a RegExp that
   * the text must match; any error by default. An event that its category does not allow is a ValidationError.
   */
  thenThrows(expected?: ExpectedError): void {
    if (!isExpectedError(expected))
      throw new ValidationError('expected', 'must be an Error, a class of errors or a RegExp', expected)
    if (!('error' in this.#outcome)) {
      const made = this.#outcome.made.events.map(({ type }) => type)
      throw failure(
        `${this.#label}: expected an error, but it made the events ${show(made)}`,
        this.thenThrows,
      )
    }
    const what = `${this.#label}: the error is not as expected`
    assertError(this.#outcome.error, expected, what, this.thenThrows)
  }

  /** Checks that the state after the new events equals `expected`. Throws AssertionError if it does not. */
  thenState(expected: S): void {
    const { state } = this.#decided('a state', this.thenState)
    assertSame(state, expected, `${this.#label}: the state is not as expected`, this.thenState)
  }

  #then(): Then<S> {
    return { thenState: (expected) => this.thenState(expected) }
  }

  #decided(expected: string, caller: object) {
    if (!('error' in this.#outcome)) return this.#outcome
    const { error: cause } = this.#outcome
    throw failure(`${this.#label}: expected ${expected}, but it threw ${cause}`, caller, { cause })
  }
}

/** A check that may follow `then` or `thenNothing`. */
export interface Then<S> {
  /** Checks that the state after the events equals `expected`. */
  thenState(expected: S): void
}
