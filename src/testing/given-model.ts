// The testing kit for decision models: given events of any streams, when a command comes, then these events are made.
import type { Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { show, ValidationError } from '../core/errors.ts'
import type { NewEvent, RecordedEvent } from '../events/event.ts'
import { checkQuery, matchesQuery } from '../events/query.ts'
import type { Decided, DecisionModel } from '../models/decision-model.ts'
import { checkModel, writesOf } from '../models/decision-model.ts'
import { viewOfCategories } from '../read/query.ts'
import type { ExpectedError } from './expect.ts'
import { assertError, assertSame, failure, isExpectedError } from './expect.ts'
import { MemoryLog } from './log.ts'

/** What there is before the command: events of streams, or events alone, of which the stream does not matter. */
export type ModelHistory = Decided | NewEvent | readonly (Decided | NewEvent)[]

const RECORDED_AT = new Date(0)
const ANY_STREAM = { category: 'given', streamId: 'given' }

/** Events in a given state. You may call `when` several times: each call starts from that state. */
export class GivenModel<C, S> {
  readonly #model: DecisionModel<C, any, S>
  readonly #history: readonly Decided[]

  /** @internal Use `given`. */
  constructor(model: DecisionModel<C, any, S>, history: ModelHistory) {
    checkModel(model)
    this.#model = model
    this.#history = [history]
      .flat()
      .map((one) =>
        'stream' in one && 'events' in one ? one : { stream: ANY_STREAM, events: one as NewEvent },
      )
    record(this.#history)
  }

  /** Decides on a command. Then check the outcome with `then`, `thenNothing`, `thenThrows` or `thenState`. */
  when(command: C): WhenModel<S> {
    return new WhenModel(this.#model, this.#history, command)
  }
}

/** The outcome of a command. */
export class WhenModel<S> {
  readonly #label: string
  readonly #outcome: { readonly made: readonly Decided[]; readonly state: S } | { readonly error: unknown }

  /** @internal Use `given(…).when(…)`. */
  constructor(model: DecisionModel<any, any, S>, history: readonly Decided[], command: unknown) {
    this.#label = `given ${history.length} event${history.length === 1 ? '' : 's'}, when ${show(command)}`
    const items = checkQuery(model.query(command), 'query')
    const view = viewOfCategories(model.categories, 'model.categories')
    const fold = (state: S, events: readonly RecordedEvent[]) =>
      events
        .filter((event) => matchesQuery(items, event))
        .reduce((state, event) => model.evolve(state, view ? view(event) : event), state)
    const before = record(history)
    const state = fold(model.initial, before)
    try {
      const made = writesOf(model.decide(command, state))
      const events = record([...history, ...made]).slice(before.length)
      this.#outcome = { made, state: fold(state, events) }
    } catch (error) {
      this.#outcome = { error }
    }
  }

  /**
   * Checks that the command made exactly these events: the same streams, types, data and tags, in this order. `id` and `metadata` are
   * compared only if the expected event has them. Throws AssertionError if they differ.
   */
  // biome-ignore lint/suspicious/noThenProperty: the pattern is called given, when, then; what this returns is not a thenable
  then(decided: Decided | readonly Decided[]): { thenState(expected: S): void } {
    if (typeof decided === 'function')
      throw new TypeError(
        'given(…).when(…) is not a promise: call then({ stream, events }) on it, and do not await it',
      )
    const { made } = this.#decided('events', this.then)
    const wanted = writesOf(decided)
    const given = wanted.flatMap(({ events }) => [events].flat()) as NewEvent[]
    const actual = comparable(encoded(made), given)
    assertSame(
      actual,
      comparable(encoded(wanted), given),
      `${this.#label}: the events are not as expected`,
      this.then,
    )
    return { thenState: (expected) => this.thenState(expected) }
  }

  /** Checks that the command made no event. Throws AssertionError if it made one, or was refused. */
  thenNothing(): void {
    const { made } = this.#decided('no events', this.thenNothing)
    assertSame(comparable(encoded(made), []), [], `${this.#label}: expected no events`, this.thenNothing)
  }

  /** Checks that the command was refused: see `given` of a decider. */
  thenThrows(expected?: ExpectedError): void {
    if (!isExpectedError(expected))
      throw new ValidationError('expected', 'must be an Error, a class of errors or a RegExp', expected)
    if (!('error' in this.#outcome))
      throw failure(
        `${this.#label}: expected an error, but it made the events ${show(comparable(encoded(this.#outcome.made), []).map(({ type }) => type))}`,
        this.thenThrows,
      )
    assertError(
      this.#outcome.error,
      expected,
      `${this.#label}: the error is not as expected`,
      this.thenThrows,
    )
  }

  /** Checks that the state after the new events equals `expected`. Throws AssertionError if it does not. */
  thenState(expected: S): void {
    const { state } = this.#decided('a state', this.thenState)
    assertSame(state, expected, `${this.#label}: the state is not as expected`, this.thenState)
  }

  #decided(expected: string, caller: object) {
    if (!('error' in this.#outcome)) return this.#outcome
    const { error: cause } = this.#outcome
    throw failure(`${this.#label}: expected ${expected}, but it threw ${cause}`, caller, { cause })
  }
}

const encoded = (writes: readonly Decided[]): Request[] =>
  writes.map(({ stream, events }, i) => encodeRequest(stream, events, 'any', `decided[${i}].`))

function comparable(requests: readonly Request[], given: readonly NewEvent[]) {
  return requests
    .flatMap(({ stream, events }) => events.map((event) => ({ stream, event })))
    .map(({ stream, event }, i) => ({
      stream: `${stream.category}/${stream.streamId}`,
      type: event.type,
      data: JSON.parse(event.data),
      tags: event.tags,
      ...(given[i]?.id === undefined ? {} : { id: event.id }),
      ...(given[i]?.metadata === undefined ? {} : { metadata: JSON.parse(event.metadata) }),
    }))
}

/** Returns the events as they are read from a store, in the order in which they were written. */
function record(writes: readonly Decided[]): RecordedEvent[] {
  const log = new MemoryLog()
  for (const request of encoded(writes)) {
    if (request.events.length === 0) continue
    const [outcome] = log.append([request], RECORDED_AT)
    if (outcome instanceof Error) throw outcome
  }
  return log.all()
}
