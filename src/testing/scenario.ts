// The scenario behind `given`: a decider, the history of one stream, and what a command makes of it.
import type { AppendResult, Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { attempt, messageOf } from '../core/describe.ts'
import { isPlain } from '../core/kinds.ts'
import type { EventModel, NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'
import { MODEL, modelOf } from '../events/event.ts'
import type { NewEventOptions } from '../events/types.ts'
import { streamOf } from '../models/aggregate.ts'
import type { Decider } from '../models/decider.ts'
import { checkDecider } from '../models/decider.ts'
import { failure } from './expect.ts'
import { MemoryLog } from './log.ts'

/** An event that is already in the store, made by `stored`. */
export class StoredEvent {
  readonly event: NewEvent

  /** @internal Use `stored`. */
  constructor(event: NewEvent) {
    this.event = event
  }
}

/**
 * Makes an event as it is in the store, to be given to a decider: written with an older or newer version of its schema, or of a
 * type that its category does not define. It is not checked, and it is read as the store would return it. You can also give
 * events from a real store, if you loaded them by the category's name: with the zod category, a codec may have decoded them.
 *
 * @param event its `metadata.schemaVersion` is the version of its schema; 1 if it is absent
 * @example
 * given(booking, [stored({ type: 'SeatsSold', data: { count: 2 } })]).thenState({ free: -2, sold: ['A1', 'A2'] })
 */
export function stored({
  type,
  data,
  metadata,
  id,
}: Pick<NewEvent, 'type' | 'data'> & NewEventOptions): StoredEvent {
  return new StoredEvent({ type, data, ...(metadata ? { metadata } : {}), ...(id ? { id } : {}) })
}

/** The events that a stream has so far. */
export type History = NewEvent | StoredEvent | readonly (NewEvent | StoredEvent)[]

/** A fixed time, so that the result of a test does not depend on the day. */
const RECORDED_AT = new Date(0)

/** A decider, and the one stream that it decides on. */
export class Scenario<C, S> {
  readonly stream: StreamRef
  /** The state after the history. */
  readonly state: S
  readonly label: string
  readonly #decider: Decider<C, any, S>
  readonly #history: readonly Request[]
  readonly #historyLength: number

  constructor(decider: Decider<C, any, S>, history: History, caller: object) {
    checkDecider(decider)
    const events = [history].flat() as readonly (NewEvent | StoredEvent)[]
    this.#historyLength = events.length
    this.stream = streamOf(decider.category, 'given')
    this.label = `given ${events.length} event${events.length === 1 ? '' : 's'}`
    this.#decider = decider
    this.#history = events.length === 0 ? [] : [this.#asStored(events)]
    this.state = this.#fold(deepFreeze(decider.initial), this.#record(this.#history), this.label, caller)
  }

  /** Returns the events that a command leads to and the state after them, or the error that refused it. */
  decide(command: C, label: string, caller: object) {
    let made: Request
    let events: RecordedEvent[]
    try {
      made = encodeRequest(this.stream, this.#decider.decide(command, this.state), 'any')
      events = this.#record([...this.#history, made]).slice(this.#historyLength)
    } catch (error) {
      return { error }
    }
    return { made, state: this.#fold(this.state, events, label, caller) }
  }

  /** Encodes the history. New events are checked by the decider's category; `stored` events are not. */
  #asStored(events: readonly (NewEvent | StoredEvent)[]): Request {
    const model = modelOf(this.stream)
    const { category, streamId } = this.stream
    const given = events.map((event) =>
      event instanceof StoredEvent ? event.event : checkedBy(model, event),
    )
    const isStored = (i: number) => events[i] instanceof StoredEvent
    return encodeRequest({ category, streamId }, given, 'any', 'given.', undefined, isStored)
  }

  /** Returns the events as a reader of the stream would get them. */
  #record(requests: readonly Request[]): RecordedEvent[] {
    const log = new MemoryLog()
    for (const request of requests) {
      if (request.events.length === 0) continue
      const [outcome] = log.append([request], RECORDED_AT) as [AppendResult | Error]
      if (outcome instanceof Error) throw outcome
    }
    const model = modelOf(this.stream)
    return log.load(this.stream).map((event) => deepFreeze(model ? model.toReader(event) : event))
  }

  #fold(from: S, events: readonly RecordedEvent[], label: string, caller: object): S {
    return events.reduce((state, event) => {
      try {
        return deepFreeze(this.#decider.evolve(state, event))
      } catch (cause) {
        const what = `${label}: evolve threw on event ${event.version}, ${event.type}: ${attempt(() => `${cause}`) ?? messageOf(cause)}`
        throw failure(what, caller, { cause })
      }
    }, from)
  }
}

/** A copy of the event that the category checks, even if the event was not made by the category. */
export function checkedBy(model: EventModel | undefined, event: NewEvent): NewEvent {
  if (!model || typeof event !== 'object' || event === null) return event
  return Object.defineProperty({ ...event }, MODEL, { value: model })
}

/** Freezes plain objects and arrays deeply. In a module (strict mode) an attempt to change one throws at that line. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (!Array.isArray(value) && !isPlain(value)) return value
  Object.freeze(value)
  for (const item of Object.values(value)) deepFreeze(item)
  return value
}
