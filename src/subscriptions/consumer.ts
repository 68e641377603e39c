import type { InternalDelivery } from './delivery.ts'

/** Where the deliveries of an executor go: to a worker of `process()`, or to the observer of `deliveries()`. */
export interface Consumer {
  deliver(delivery: InternalDelivery): void
  /** Drain and end. When `up` aborts, handlers and acks are not waited for any more. */
  end(up: AbortSignal): Promise<void>
  /** How long a partition that is handed over waits for the next ack, in ms. */
  readonly ackWaitMs: number
  /** Whether it is a worker, whose acks never wait for checkpoints. */
  readonly isWorker: boolean
}
