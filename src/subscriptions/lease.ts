import { manyWaitFor } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { Condition } from '../core/condition.ts'
import type { LeaseLostError } from './errors.ts'
import type { Instant } from './instant.ts'
import { elapsed } from './instant.ts'

/** The lease of a partition: ours until it runs out unrenewed, or another has taken it. */
export class Lease {
  readonly number: number
  /** The fence: a write that carries an older one does nothing. */
  readonly epoch: number
  /** Counted from before the request: it never runs out later here than in the database. */
  renewedAt: Instant
  draining = false
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #ended = manyWaitFor()
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

  /** Aborts when it is given back or lost. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** False: it may have run out (we were frozen, or cut off). Nothing is to be begun until it is renewed. */
  get valid(): boolean {
    return !this.#lost && elapsed(this.#clock, this.renewedAt) < this.#leaseMs
  }

  get lost(): boolean {
    return this.#lost !== undefined
  }

  throwIfLost(): void {
    if (this.#lost) throw this.#lost
  }

  /** Whether it still is ours; waits until that is certain. */
  async stillOwned(): Promise<boolean> {
    while (!this.valid && !this.signal.aborted) await this.#renewed.next()
    return !this.signal.aborted
  }

  renewed(at: Instant): void {
    this.renewedAt = at
    this.#renewed.fire()
  }

  /** Begin nothing more under it. */
  drain(): void {
    this.draining = true
    this.#ended.abort()
    this.#renewed.fire()
  }

  /** It is another's, or nobody's. */
  end(error: LeaseLostError): void {
    this.#lost ??= error
    this.drain()
  }
}
