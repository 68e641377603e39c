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

/** An event that is in the store already, made by `stored`. */
export class StoredEvent {
  readonly event: NewEvent

  /** @internal Use `stored`. */
  constructor(event: NewEvent) {
    this.event = event
  }
}

/**
 * An event as it stands in the store, to be given to a decider: written by an older release of its schema, by a newer one, or
 * of a type that its category does not define. It is not checked, and is read as the store gives it back. What was loaded
 * from a real store can be given so, too, if it was loaded by its category's name: a codec may have decoded it otherwise.
 *
 * @param event its `metadata.schemaVersion` says by which version of its schema; absent: 1
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

/** What has happened to a stream so far. */
export type History = NewEvent | StoredEvent | readonly (NewEvent | StoredEvent)[]

/** A test that passes today passes tomorrow. */
const RECORDED_AT = new Date(0)

/** A decider, and the one stream that it decides on. */
export class Scene<C, S> {
  readonly stream: StreamRef
  /** After what has happened so far. */
  readonly state: S
  readonly label: string
  readonly #decider: Decider<C, any, S>
  readonly #history: readonly Request[]
  readonly #past: number // events that have happened

  constructor(decider: Decider<C, any, S>, history: History, caller: object) {
    checkDecider(decider)
    const events = [history].flat() as readonly (NewEvent | StoredEvent)[]
    this.#past = events.length
    this.stream = streamOf(decider.category, 'given')
    this.label = `given ${events.length} event${events.length === 1 ? '' : 's'}`
    this.#decider = decider
    this.#history = events.length === 0 ? [] : [this.#asStored(events)]
    this.state = this.#fold(frozen(decider.initial), this.#record(this.#history), this.label, caller)
  }

  /** The events that a command leads to and the state after them, or why it was refused. */
  decide(command: C, label: string, caller: object) {
    let made: Request
    let events: RecordedEvent[]
    try {
      made = encodeRequest(this.stream, this.#decider.decide(command, this.state), 'any')
      events = this.#record([...this.#history, made]).slice(this.#past)
    } catch (error) {
      return { error }
    }
    return { made, state: this.#fold(this.state, events, label, caller) }
  }

  /** Those of the decider's category are checked; what is stored already is what it is. */
  #asStored(events: readonly (NewEvent | StoredEvent)[]): Request {
    const model = modelOf(this.stream)
    const { category, streamId } = this.stream
    const given = events.map((event) =>
      event instanceof StoredEvent ? event.event : checkedBy(model, event),
    )
    const isStored = (i: number) => events[i] instanceof StoredEvent
    return encodeRequest({ category, streamId }, given, 'any', 'given.', undefined, isStored)
  }

  /** As whoever loads the stream gets them. */
  #record(requests: readonly Request[]): RecordedEvent[] {
    const log = new MemoryLog()
    for (const request of requests) {
      if (request.events.length === 0) continue
      const [outcome] = log.append([request], RECORDED_AT) as [AppendResult | Error]
      if (outcome instanceof Error) throw outcome
    }
    const model = modelOf(this.stream)
    return log.load(this.stream).map((event) => frozen(model ? model.toReader(event) : event))
  }

  #fold(from: S, events: readonly RecordedEvent[], label: string, caller: object): S {
    return events.reduce((state, event) => {
      try {
        return frozen(this.#decider.evolve(state, event))
      } catch (cause) {
        const what = `${label}: evolve threw on event ${event.version}, ${event.type}: ${attempt(() => `${cause}`) ?? messageOf(cause)}`
        throw failure(what, caller, { cause })
      }
    }, from)
  }
}

/** The event, to be checked as one of its category, however it was made. */
function checkedBy(model: EventModel | undefined, event: NewEvent): NewEvent {
  if (!model || typeof event !== 'object' || event === null) return event
  return Object.defineProperty({ ...event }, MODEL, { value: model })
}

/** Plain objects and arrays, all the way down: in a module whoever changes one is told where he does. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (!Array.isArray(value) && !isPlain(value)) return value
  Object.freeze(value)
  for (const item of Object.values(value)) frozen(item)
  return value
}
