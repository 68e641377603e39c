// One event that JetStream has handed to this process.
import type { RecordedEvent } from '../../events/event.ts'
import type { Delivery, NackOptions } from '../../subscriptions/delivery.ts'

/** One event handed to a consumer, as `Delivery` of a subscription. */
export interface JetStreamDelivery<E = RecordedEvent> extends Delivery<E> {
  /** Whether the server has delivered the event before: to a handler that failed, or to a process that died or lost its connection. */
  readonly redelivered: boolean
}

/** How a delivery ended; `retryMs` is the pause until it comes again. */
export type Outcome = 'acked' | 'parked' | { readonly retryMs: number }

/** What becomes of a delivery, where it came from: a consumer, or the replay of a parked stream. */
export interface Origin {
  acked(confirm: boolean): Promise<void>
  nacked(delayMs: number): void
  parked(failure: { error: unknown; attempt: number }): Promise<void>
}

/** A delivery as workers see it. It is settled once. */
export class HeldDelivery {
  readonly event: RecordedEvent
  readonly attempt: number
  readonly redelivered: boolean
  readonly partition: number
  readonly signal: AbortSignal
  readonly #origin: Origin
  #settled = false

  constructor(
    given: Pick<HeldDelivery, 'event' | 'attempt' | 'redelivered' | 'partition' | 'signal'>,
    origin: Origin,
  ) {
    this.event = given.event
    this.attempt = given.attempt
    this.redelivered = given.redelivered
    this.partition = given.partition
    this.signal = given.signal
    this.#origin = origin
  }

  get stale(): boolean {
    return this.#settled
  }

  /** With `confirm` it waits for the server's answer. */
  async ack(confirm: boolean): Promise<void> {
    if (this.#settle()) await this.#origin.acked(confirm)
  }

  nack({ delayMs = 0 }: NackOptions = {}): void {
    if (this.#settle()) this.#origin.nacked(delayMs)
  }

  async park(error?: unknown): Promise<void> {
    if (this.#settle()) await this.#origin.parked({ error, attempt: this.attempt })
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    return true
  }
}
