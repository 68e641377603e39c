import type pg from 'pg'
import type { Logger } from '../core/logger.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { Entry } from './ack-window.ts'

/** When and why a delivery is to come again. */
export interface NackOptions {
  /** Pause before it is delivered again. In ms; default 0, minimum 0. */
  delayMs?: number | undefined
  /** Why; logged. */
  error?: unknown
}

/** A nack of this library's own: `counts` is false for a failure during an outage, which is no attempt. Default true. */
export interface Nack extends NackOptions {
  counts?: boolean
}

/** What becomes of an event whose handler failed. */
export interface Retry {
  /** The pause before the next attempt; null: it was the last one. */
  readonly delayMs: number | null
  /** Whether the failure counts as an attempt. */
  readonly counts: boolean
}

/** One event handed to a consumer. */
export interface Delivery<E = RecordedEvent> {
  readonly event: E
  /** 1, 2, 3 …: how often it was delivered by this executor, counting nacks. */
  readonly attempt: number
  /** Its partition, of those that this executor owns: 0, 1, 2 … */
  readonly partition: number
  /** True: it is acked already, or it was taken back, or its partition is another's. What is done with it does nothing. */
  readonly stale: boolean
  /**
   * The event is handled. Acks may come in any order.
   *
   * @returns once a checkpoint covers it, or at once while an earlier nacked one holds that back
   * @throws LeaseLostError where another executor has taken over; the event is delivered again
   */
  ack(): Promise<void>
  /**
   * Deliver it again, after a pause. Takes back the later unacked deliveries of its stream: their acks then do nothing,
   * and all of them come again, in order. Other streams flow on.
   */
  nack(options?: NackOptions): void
  /**
   * Set the stream aside from this event on, with the error, and go on with the others. `meow.parked(name)` shows it,
   * `meow.replayParked(name)` puts it back.
   *
   * @returns once that is durable
   * @throws LeaseLostError where another executor has taken over
   */
  park(error?: unknown): Promise<void>
}

/** What a delivery asks of its partition. */
export interface DeliveryOwner {
  readonly number: number
  readonly signal: AbortSignal
  readonly lost: boolean
  /** False: the lease may have run out unnoticed. */
  readonly valid: boolean
  readonly logger: Logger
  readonly telemetry: ConsumerTelemetry | undefined
  /** Whether the partition is still ours; waits until that is certain. */
  stillOwned(): Promise<boolean>
  throwIfLost(): void
  /** The lease is known to be lost. */
  lose(cause?: unknown): void
}

/** What stands behind a delivery: the partition, or the replay of a stream that was set aside. */
export interface Source {
  readonly partition: DeliveryOwner
  /** Whether the events of a parked stream come again. */
  readonly isReplay: boolean
  begin(entry: Entry): void
  ack(entry: Entry): Promise<void>
  done(entry: Entry): void
  nack(entry: Entry, options: Nack): void
  park(entry: Entry, error: unknown): Promise<void>
  /** In the consumer's transaction, as its last statement: handled up to `entry`. False: the lease is lost. */
  writeCheckpoint(client: pg.ClientBase, entry: Entry): Promise<boolean>
  /** That transaction is committed. */
  checkpointCommitted(entries: readonly Entry[]): void
  /** In the consumer's transaction: the stream is set aside, for good or (`replaying`) until it is tried again. */
  writeParked(client: pg.ClientBase, entry: Entry, error: unknown, replaying: boolean): Promise<boolean>
  /** That transaction is committed. */
  parkedCommitted(entry: Entry, retryInMs: number | null): void
}

/** A delivery as this library's own consumers see it. */
export class HandedOut {
  readonly source: Source
  readonly entry: Entry
  readonly event: RecordedEvent
  attempt: number
  /** Its handler has failed, and is not called once more for this delivery. */
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

  /** Aborts when the executor stops, the partition is given back, or the lease is lost. */
  get signal(): AbortSignal {
    return this.source.partition.signal
  }

  /** Taken back, or the lease is lost: what is done with it does nothing. */
  get stale(): boolean {
    return this.entry.generation !== this.#generation || this.source.partition.lost
  }

  /** False: the lease may have run out unnoticed (we were frozen, or cut off). Then `ours` finds out. */
  get leaseIsValid(): boolean {
    return this.source.partition.valid
  }

  /** Whether the partition is still ours; waits until that is certain. */
  stillOwned(): Promise<boolean> {
    return this.source.partition.stillOwned()
  }

  /** From here on the consumer has it. False: it is taken back. */
  begin(): boolean {
    if (this.stale) return false
    // A worker may begin once more what it has begun, in a transaction that is rolled back.
    if (this.entry.state !== 'out') this.source.partition.telemetry?.delivered(this.event, this.attempt)
    this.source.begin(this.entry)
    return true
  }

  /** Whether a handler was called for it whose transaction was rolled back. */
  get called(): boolean {
    return this.#calls > 0
  }

  /** A handler is called, maybe once more, in another transaction: each call is an attempt. */
  call(): void {
    if (this.called) this.#recount(1)
    this.#calls++
  }

  /** The calls were no attempts. */
  discount(): void {
    this.#recount(-this.#calls)
  }

  #recount(by: number): void {
    this.attempt += by
    this.entry.attempt += by
  }

  /** `ack`, for who does not wait for the checkpoint. */
  done(): void {
    if (!this.stale) this.source.done(this.entry)
  }

  async ack(): Promise<void> {
    this.source.partition.throwIfLost()
    if (!this.stale) await this.source.ack(this.entry)
  }

  nack(options: Nack = {}): void {
    if (!this.stale) this.source.nack(this.entry, options)
  }

  async park(error?: unknown): Promise<void> {
    this.source.partition.throwIfLost()
    if (!this.stale) await this.source.park(this.entry, error)
  }
}
