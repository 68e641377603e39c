import type { RecordedEvent } from '../event.ts'

/** One event handed to a consumer. */
export interface Delivery<E = RecordedEvent> {
  readonly event: E
  /** 1, 2, 3 … */
  readonly attempt: number
  readonly partition: number
  /**
   * The event is handled. Acks may come in any order.
   *
   * @returns once a checkpoint covers it, that is once all earlier ones are acked too
   * @throws LeaseLostError where another executor has taken over; the event is delivered again
   */
  ack(): Promise<void>
}

/** A delivery as this library's own consumers see it. */
export interface HandedOut extends Delivery {
  /** Aborts when the executor stops or the lease is lost. */
  readonly signal: AbortSignal
  /** False: the lease may have run out unnoticed (we were frozen, or cut off). Then `ours` finds out. */
  readonly certain: boolean
  /** Whether the partition is still ours; waits until that is certain. */
  ours(): Promise<boolean>
  /** `ack`, for who does not wait for the checkpoint. */
  done(): void
}
