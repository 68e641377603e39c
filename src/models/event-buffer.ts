import { MeowError } from '../core/errors.ts'
import type { NewEvent, RecordedEvent } from '../events/event.ts'

/** What an aggregate has emitted and not saved. */
export interface PendingEvents {
  /** In the order in which they were emitted. */
  events: NewEvent[]
  /** Version of the stream's last event when they were decided on; -1: there was no such stream. */
  expectedVersion: number
  /** They are appended. Until it is called they stay pending, so that a save that fails can be tried again. */
  saved?(): void
}

/** How an aggregate's own events `E` come to be, and what they do. */
export interface EventBufferOptions<E> {
  /** An event of the store as one of the aggregate's own. */
  load(recorded: RecordedEvent): E
  /** Change the aggregate's state by an event. */
  apply(event: E): void
  /** One of the aggregate's own events as it is to be appended. */
  toNewEvent(event: E): NewEvent
}

/**
 * The events of an aggregate: those that are stored, and those that it has emitted since. An aggregate keeps one, and
 * changes its state in `apply` alone.
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

  /** Version of the last event, stored or not; -1: there is none. */
  get currentVersion(): number {
    return this.#stored + this.#pending.length
  }

  /** Version of the last event that is stored; -1: there is none. */
  get storedVersion(): number {
    return this.#stored
  }

  /** Apply a new event, and keep it until it is saved. Where `apply` throws it has not happened. */
  emit(event: E): void {
    this.#options.apply(event)
    this.#pending.push(event)
  }

  /** Apply events that come from the store, in order. */
  loadRecorded(events: readonly RecordedEvent[]): void {
    this.#clean()
    for (const recorded of events) {
      this.#options.apply(this.#options.load(recorded))
      this.#stored = recorded.version
    }
  }

  /** The same of events that are the aggregate's own already: the next ones of its stream, none left out. */
  loadTransformed(events: readonly E[]): void {
    this.#clean()
    for (const event of events) {
      this.#options.apply(event)
      this.#stored++
    }
  }

  /** What is to be saved; it stays pending until `saved()` is called. */
  collectPendingEvents(): PendingEvents & { saved(): void } {
    const expectedVersion = this.#stored
    const events = this.#pending.map((event) => this.#options.toNewEvent(event))
    const saved = () => {
      if (this.#stored !== expectedVersion) return // said twice
      this.#pending.splice(0, events.length)
      this.#stored += events.length
    }
    return { events, expectedVersion, saved }
  }

  #clean(): void {
    if (this.#pending.length > 0)
      throw new MeowError(
        'ERR_PENDING_EVENTS',
        `stored events can not be loaded behind ${this.#pending.length} that are not saved`,
      )
  }
}
