import { sharedController } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { Condition } from '../core/condition.ts'
import type { LeaseLostError } from './errors.ts'
import type { Instant } from './instant.ts'
import { elapsed } from './instant.ts'

/**
 * The lease of a partition.
 *
 *     valid <-> may have expired (not renewed for leaseMs)
 *       |                |
 *       +-> draining <---+ -> lost (another executor owns it, or none)
 */
export class Lease {
  /** The number of its partition. */
  readonly number: number
  /** Each owner has a higher epoch. A write with an older epoch has no effect. */
  readonly epoch: number
  /** The time before the request was sent, so that the lease never expires later here than in the database. */
  renewedAt: Instant
  draining = false
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #ended = sharedController()
  readonly #renewed = new Condition()
  #lost: LeaseLostError | undefined

  constructor(
    { partition, epoch }: { partition: number; epoch: number },
    at: Instant,
    leaseMs: number,
    clock: Clock,
  ) {
    this.number = partition
    this.epoch = epoch
    this.renewedAt = at
    this.#leaseMs = leaseMs
    this.#clock = clock
  }

  /** Aborts when the partition is handed over or lost. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** False: the lease may have expired, because this process froze or lost its connection. Nothing may begin until it is renewed. */
  get valid(): boolean {
    return !this.#lost && elapsed(this.#clock, this.renewedAt) < this.#leaseMs
  }

  get lost(): boolean {
    return this.#lost !== undefined
  }

  throwIfLost(): void {
    if (this.#lost) throw this.#lost
  }

  /** Whether this executor still owns it; waits until that is certain. */
  async stillOwned(): Promise<boolean> {
    while (!this.valid && !this.signal.aborted) await this.#renewed.next()
    return !this.signal.aborted
  }

  renewed(at: Instant): void {
    this.renewedAt = at
    this.#renewed.fire()
  }

  /** Begin nothing more with this lease. */
  drain(): void {
    this.draining = true
    this.#ended.abort()
    this.#renewed.fire()
  }

  /** This executor does not own it any more. */
  end(error: LeaseLostError): void {
    this.#lost ??= error
    this.drain()
  }
}

/** The positions that partitions have reached, as the store writes them: each with the lease of its partition. */
export const leasesOf = (reached: readonly { partition: { lease: Lease }; position: number }[]) =>
  reached.map(({ partition: { lease }, position }) => ({ partition: lease, position }))
