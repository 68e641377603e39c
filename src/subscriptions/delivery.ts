import type pg from 'pg'
import type { Logger } from '../core/logger.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { Entry } from './ack-window.ts'
import type { Lease } from './lease.ts'

/** When to deliver again, and why. */
export interface NackOptions {
  /** Pause before it is delivered again. In ms; default 0, minimum 0. */
  delayMs?: number | undefined
  /** Why the event is not handled; it is logged. */
  error?: unknown
}

/** A nack with internal options. `counts`, default true: whether the failure is an attempt; during an outage it is not. */
export interface Nack extends NackOptions {
  counts?: boolean
}

/** What happens to an event whose handler failed. */
export interface Retry {
  /** The pause before the next attempt in ms; null: there is no further attempt. */
  readonly delayMs: number | null
  /** Whether the failure counts as an attempt. */
  readonly counts: boolean
}

/** One event handed to a consumer. */
export interface Delivery<E = RecordedEvent> {
  readonly event: E
  /** 1, 2, 3 …: how often this executor has delivered the event; each nack adds one. */
  readonly attempt: number
  /** The number of its partition: 0, 1, 2 … */
  readonly partition: number
  /** True if it is already acked, was taken back, or another executor owns its partition: acks and nacks do nothing. */
  readonly stale: boolean
  /**
   * The event is handled. Acks may come in any order.
   *
   * @returns a promise that resolves when a checkpoint covers the event, or at once if an earlier nacked event holds the
   *   checkpoint back
   * @throws LeaseLostError if another executor owns the partition now; the event is delivered again
   */
  ack(): Promise<void>
  /**
   * Deliver the event again, after a pause. Later unacked deliveries of its stream are taken back too: their acks then do
   * nothing, and all of them come again, in order. Other streams go on.
   */
  nack(options?: NackOptions): void
  /**
   * Park the stream from this event on, with the error, and go on with other streams. `meow.parked(name)` lists its events,
   * `meow.replayParked(name)` delivers them again.
   *
   * @returns a promise that resolves when the stream is parked durably
   * @throws LeaseLostError if another executor owns the partition now
   */
  park(error?: unknown): Promise<void>
}

/** What a delivery needs from its partition. */
export interface DeliveryOwner {
  readonly number: number
  readonly lease: Lease
  readonly logger: Logger
  readonly telemetry: ConsumerTelemetry | undefined
  /** Treat the lease as lost; `cause` is the error of the database, if there is one. */
  lose(cause?: unknown): void
  /** Park the stream in a handler's transaction; with `replaying` only until its next attempt. False: the lease is lost. */
  writeParked(client: pg.ClientBase, entry: Entry, error: unknown, replaying: boolean): Promise<boolean>
}

/** Where a delivery comes from: its partition, or the replay of a parked stream. */
export interface Source {
  readonly partition: DeliveryOwner
  /** Whether this is the replay of a parked stream. */
  readonly isReplay: boolean
  begin(entry: Entry): void
  ack(entry: Entry): Promise<void>
  done(entry: Entry): void
  nack(entry: Entry, options: Nack): void
  park(entry: Entry, error: unknown): Promise<void>
  /** Write the checkpoint after `entry` as the last statement of a handler's transaction. False: the lease is lost. */
  writeCheckpoint(client: pg.ClientBase, entry: Entry): Promise<boolean>
  /** The transaction of `writeCheckpoint` is committed. */
  checkpointCommitted(entries: readonly Entry[]): void
  /** The transaction of the partition's `writeParked` is committed. */
  parkedCommitted(entry: Entry, retryInMs: number | null): void
}

/** A delivery as the engine and its workers see it. `Delivery` is its public form. */
export class InternalDelivery {
  readonly source: Source
  readonly entry: Entry
  readonly event: RecordedEvent
  attempt: number
  /** The error of its handler, which is not called again for this delivery. */
  failure: { readonly error: unknown; retry?: Retry } | undefined
  #calls = 0
  readonly #generation: number

  constructor(source: Source, entry: Entry) {
    this.source = source
    this.entry = entry
    this.event = entry.event
    this.attempt = entry.attempt
    this.#generation = entry.generation
  }

  get partition(): number {
    return this.source.partition.number
  }

  get lease(): Lease {
    return this.source.partition.lease
  }

  /** Aborts when the executor stops, the partition is handed over, or the lease is lost. */
  get signal(): AbortSignal {
    return this.lease.signal
  }

  /** Whether it was taken back or the lease is lost: acks and nacks do nothing then. */
  get stale(): boolean {
    return this.entry.generation !== this.#generation || this.lease.lost
  }

  /** The consumer has it now. False: it was taken back, so it must not be handled. */
  begin(): boolean {
    if (this.stale) return false
    // A worker may begin the same delivery again after its transaction was rolled back.
    if (this.entry.state !== 'out') this.source.partition.telemetry?.delivered(this.event, this.attempt)
    this.source.begin(this.entry)
    return true
  }

  /** Whether a handler was called for it in a transaction that was rolled back. */
  get called(): boolean {
    return this.#calls > 0
  }

  /** A handler is called. Each call is an attempt, also a further call in another transaction. */
  call(): void {
    if (this.called) this.#recount(1)
    this.#calls++
  }

  /** The calls of its handler do not count as attempts. */
  discount(): void {
    this.#recount(-this.#calls)
  }

  #recount(by: number): void {
    this.attempt += by
    this.entry.attempt += by
  }

  /** Ack it without waiting for the checkpoint. */
  done(): void {
    if (!this.stale) this.source.done(this.entry)
  }

  async ack(): Promise<void> {
    this.lease.throwIfLost()
    if (!this.stale) await this.source.ack(this.entry)
  }

  nack(options: Nack = {}): void {
    if (!this.stale) this.source.nack(this.entry, options)
  }

  async park(error?: unknown): Promise<void> {
    this.lease.throwIfLost()
    if (!this.stale) await this.source.park(this.entry, error)
  }
}
