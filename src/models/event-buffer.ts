// Collects the events that an aggregate emits until they are saved.
import { MeowError } from '../core/errors.ts'
import type { NewEvent, RecordedEvent } from '../events/event.ts'

/** Events that an aggregate has emitted and that are not saved yet. */
export interface PendingEvents {
  /** The events, in the order in which they were emitted. */
  events: NewEvent[]
  /** Version of the stream's last event when the aggregate was loaded; -1 if there was no such stream. */
  expectedVersion: number
  /** Called after the events were appended. Until then they stay pending, so that a failed save can be repeated. */
  saved?(): void
}

/** How an aggregate's own events `E` are read, applied and written. */
export interface EventBufferOptions<E> {
  /** Converts a stored event to one of the aggregate's own. */
  load(recorded: RecordedEvent): E
  /** Changes the aggregate's state by an event. */
  apply(event: E): void
  /** Converts one of the aggregate's own events to one that can be appended. */
  toNewEvent(event: E): NewEvent
}

/**
 * Holds the events of an aggregate: those that are stored, and those that it has emitted since. An aggregate has one, and
 * changes its state only in `apply`.
 *
 * @example
 * class Account {
 *   static category = 'account'
 *   readonly category = Account.category
 *   balance = 0
 *   readonly #events = new EventBuffer<Deposited>({
 *     load: ({ data }) => ({ amount: data.amount }),
 *     apply: ({ amount }) => { this.balance += amount },
 *     toNewEvent: (data) => ({ type: 'Deposited', data }),
 *   })
 *   constructor(recorded: RecordedEvent[], readonly streamId = recorded[0]!.streamId) { this.#events.loadRecorded(recorded) }
 *   deposit(amount: number) { this.#events.emit({ amount }) }
 *   collectPendingEvents() { return this.#events.collectPendingEvents() }
 * }
 */
export class EventBuffer<E> {
  readonly #options: EventBufferOptions<E>
  readonly #pending: E[] = []
  #stored = -1

  constructor(options: EventBufferOptions<E>) {
    this.#options = options
  }

  /** Version of the last event, stored or pending; -1 if there is none. */
  get currentVersion(): number {
    return this.#stored + this.#pending.length
  }

  /** Version of the last stored event; -1 if there is none. */
  get storedVersion(): number {
    return this.#stored
  }

  /** Applies a new event, and keeps it until it is saved. If `apply` throws, the event is not kept. */
  emit(event: E): void {
    this.#options.apply(event)
    this.#pending.push(event)
  }

  /** Applies events from the store, in order. Throws MeowError (`ERR_PENDING_EVENTS`) if events are pending. */
  loadRecorded(events: readonly RecordedEvent[]): void {
    this.#requireNonePending()
    for (const recorded of events) {
      this.#options.apply(this.#options.load(recorded))
      this.#stored = recorded.version
    }
  }

  /** Applies events that are already the aggregate's own: the next events of its stream, without gaps. Throws as `loadRecorded`. */
  loadTransformed(events: readonly E[]): void {
    this.#requireNonePending()
    for (const event of events) {
      this.#options.apply(event)
      this.#stored++
    }
  }

  /** Returns the pending events. They stay pending until `saved()` is called. */
  collectPendingEvents(): PendingEvents & { saved(): void } {
    const expectedVersion = this.#stored
    const events = this.#pending.map((event) => this.#options.toNewEvent(event))
    const saved = () => {
      if (this.#stored !== expectedVersion) return // it was called before
      this.#pending.splice(0, events.length)
      this.#stored += events.length
    }
    return { events, expectedVersion, saved }
  }

  #requireNonePending(): void {
    if (this.#pending.length > 0)
      throw new MeowError(
        'ERR_PENDING_EVENTS',
        `cannot load stored events: ${this.#pending.length} emitted events are not saved; save the aggregate first, or build a new one`,
      )
  }
}
