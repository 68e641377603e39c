// `given` for process managers: given these events, when this one comes, or time goes by, then these effects are made.
import { encodeRequest } from '../append/request.ts'
import { ValidationError } from '../core/errors.ts'
import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'
import { modelOf } from '../events/event.ts'
import { select, selectorOf } from '../events/selector.ts'
import { inheritedCause } from '../processes/cause.ts'
import type { Checked, ProcessManager, TimerInput } from '../processes/define.ts'
import { checkProcessManager } from '../processes/define.ts'
import type { Effect } from '../processes/effects.ts'
import type { Cause } from '../processes/reaction.ts'
import { correlate, react, stateOf } from '../processes/reaction.ts'
import type { ExpectedError } from './expect.ts'
import { assertError, assertSame, failure } from './expect.ts'
import { MemoryLog, matches } from './log.ts'

/** An event as an input of a process manager, which must select it. Without `stream` it belongs to the stream `given` of its first category. */
export type ProcessEvent = NewEvent | { readonly stream: StreamRef; readonly event: NewEvent }

type Step = { readonly event: ProcessEvent } | { readonly ms: number }

interface Instance {
  state: string
  version: number
  ended: boolean
  readonly timers: Map<string, { due: number; cause: Cause }>
}

/** A process manager in memory, with a clock that begins at 1970. */
class Simulation {
  readonly instances = new Map<string, Instance>()
  readonly #manager: Checked
  readonly #log = new MemoryLog()
  readonly #category: string | undefined
  readonly #view: (event: RecordedEvent, stream: StreamRef) => RecordedEvent
  readonly #isSelected: (event: RecordedEvent) => boolean
  #now = 0

  constructor(manager: Checked) {
    this.#manager = manager
    const [first] = [manager.definition.category].flat()
    this.#category = typeof first === 'string' ? first : first?.name
    const categories = [manager.definition.category].flat()
    this.#isSelected = matches(select(selectorOf(manager.definition)))
    this.#view = (event, stream) => {
      const model =
        modelOf(stream) ??
        modelOf(
          categories
            .find((one) => typeof one === 'object' && one?.name === event.category)
            ?.stream(event.streamId) ?? stream,
        )
      return model ? model.toReader(event) : event
    }
  }

  run(step: Step): Effect[] {
    return 'ms' in step ? this.#advance(step.ms) : this.#event(step.event)
  }

  #event(given: ProcessEvent): Effect[] {
    const { stream, event } =
      'event' in given
        ? given
        : {
            stream: {
              category: this.#category ?? 'given',
              streamId: this.#manager.definition.streamId ?? 'given',
            },
            event: given,
          }
    const request = encodeRequest(stream, event, 'any', 'event.')
    const [outcome] = this.#log.append([request], new Date(this.#now))
    if (outcome instanceof Error) throw outcome
    const recorded = this.#view(outcome!.events[0]!, stream)
    if (!this.#isSelected(recorded))
      throw new ValidationError('event', `is not one that process manager "${this.#manager.name}" selects`, {
        category: recorded.category,
        streamId: recorded.streamId,
        type: recorded.type,
      })
    const id = correlate(this.#manager, recorded)
    return id === null ? [] : this.#input(id, recorded, recorded)
  }

  #advance(ms: number): Effect[] {
    const until = this.#now + ms
    const effects: Effect[] = []
    for (;;) {
      const waiting = [...this.instances].flatMap(([id, { timers }]) =>
        [...timers].map(([name, timer]) => ({ id, name, ...timer })),
      )
      const [next] = waiting.sort((a, b) => a.due - b.due)
      if (!next || next.due > until) break
      this.#now = Math.max(this.#now, next.due)
      const { id, name, due, cause } = next
      this.instances.get(id)!.timers.delete(name)
      const input: TimerInput = { type: '$timer', name, due: new Date(due) }
      effects.push(...this.#input(id, input, cause))
    }
    this.#now = until
    return effects
  }

  #input(id: string, input: RecordedEvent | TimerInput, cause: Cause): Effect[] {
    const { version, initialJson } = this.#manager
    const instance = this.instances.get(id) ?? {
      state: initialJson,
      version,
      ended: false,
      timers: new Map(),
    }
    if (instance.ended) return []
    const state = stateOf(this.#manager, instance.state, instance.version)
    const reaction = react(this.#manager, state, { input, cause }, { id, now: this.#now })
    instance.state = reaction.state
    instance.ended = reaction.ended
    for (const [name, due] of reaction.timers) {
      if (due === null) instance.timers.delete(name)
      else instance.timers.set(name, { due, cause: inheritedCause(cause) })
    }
    if (instance.ended) instance.timers.clear()
    this.instances.set(id, instance)
    return [...reaction.effects]
  }
}

/** A process manager after some events and some time. Each call of `when` or `afterMs` returns what comes after it. */
export class GivenProcess<S = any> {
  readonly #manager: Checked
  readonly #steps: readonly Step[]
  readonly #outcome:
    | { readonly simulation: Simulation; readonly effects: readonly Effect[] }
    | { readonly error: unknown }

  /** @internal Use `given`. */
  constructor(definition: ProcessManager<any, S, any>, steps: readonly Step[]) {
    this.#manager = checkProcessManager(definition)
    this.#steps = steps
    this.#outcome = this.#run()
  }

  #run() {
    const simulation = new Simulation(this.#manager)
    let effects: Effect[] = []
    try {
      for (const step of this.#steps) effects = simulation.run(step)
      return { simulation, effects }
    } catch (error) {
      return { error }
    }
  }

  #after(step: Step): GivenProcess<S> {
    return new GivenProcess<S>(this.#manager.definition, [...this.#steps, step])
  }

  /** One more event comes. */
  when(event: ProcessEvent): GivenProcess<S> {
    return this.#after({ event })
  }

  /** Time goes by, in ms; timers that become due are fired, in order, each at its time. */
  afterMs(ms: number): GivenProcess<S> {
    if (!(Number.isFinite(ms) && ms >= 0))
      throw new ValidationError('ms', 'must be a number of at least 0', ms)
    return this.#after({ ms })
  }

  /**
   * Checks that the last step (the event, or the time that went by) made exactly these effects, in this order: made with `effects` of
   * `meowmx`, or by a function that gets them. Of events, type, data and tags are compared. Throws AssertionError if they differ.
   */
  // biome-ignore lint/suspicious/noThenProperty: the pattern is called given, when, then; what this returns is not a thenable
  then(expected: Effect | readonly Effect[]): GivenProcess<S> {
    if (typeof expected === 'function')
      throw new TypeError(
        'given(…).when(…) is not a promise: call then([effects]) on it, and do not await it',
      )
    const { effects } = this.#succeeded(this.then)
    const what = `process manager "${this.#manager.name}": the effects are not as expected`
    assertSame(effects.map(comparable), [expected].flat().map(comparable), what, this.then)
    return this
  }

  /** Checks that the last step made nothing happen. */
  thenNothing(): GivenProcess<S> {
    const { effects } = this.#succeeded(this.thenNothing)
    const what = `process manager "${this.#manager.name}": expected no effects`
    assertSame(effects.map(comparable), [], what, this.thenNothing)
    return this
  }

  /** Checks the state of an instance: of the only one, or of this one. */
  thenState(expected: S, id?: string): GivenProcess<S> {
    const { simulation } = this.#succeeded(this.thenState)
    const { instances } = simulation
    if (id === undefined && instances.size !== 1)
      throw failure(`there are ${instances.size} instances: say which`, this.thenState)
    const instance = instances.get(id ?? [...instances.keys()][0]!)
    const state = instance ? JSON.parse(instance.state) : undefined
    const what = `process manager "${this.#manager.name}": the state is not as expected`
    assertSame(state, expected, what, this.thenState)
    return this
  }

  /** Checks that a step was refused: `react` threw, or returned something that is not a state with effects. */
  thenThrows(expected?: ExpectedError): void {
    if (!('error' in this.#outcome)) throw failure('expected an error, and there was none', this.thenThrows)
    const what = `process manager "${this.#manager.name}": the error is not as expected`
    assertError(this.#outcome.error, expected, what, this.thenThrows)
  }

  #succeeded(caller: object) {
    if (!('error' in this.#outcome)) return this.#outcome
    const { error: cause } = this.#outcome
    throw failure(`process manager "${this.#manager.name}" threw ${cause}`, caller, { cause })
  }
}

/** An effect in a form that can be compared. */
function comparable(effect: Effect): unknown {
  if (effect.type !== 'append') return JSON.parse(JSON.stringify(effect))
  const { stream, events } = encodeRequest(effect.stream, effect.events as NewEvent[], 'any', 'effect.')
  const { expectedVersion = 'any', failIf } = effect
  return {
    type: 'append',
    stream,
    expectedVersion,
    ...(failIf === undefined ? {} : { failIf: JSON.parse(JSON.stringify(failIf)) }),
    events: events.map(({ type, data, tags }) => ({
      type,
      data: JSON.parse(data),
      ...(tags.length > 0 ? { tags } : {}),
    })),
  }
}
