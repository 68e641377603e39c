import { backoff } from '../core/backoff.ts'
import { isLost, isTransient } from '../database/failures.ts'
import type { Checkpoints } from './checkpoints.ts'
import { LeaseLostError } from './errors.ts'
import { elapsed } from './instant.ts'
import type { OwnedPartition, OwnedPartitions } from './owned-partitions.ts'
import type { Store } from './store.ts'

export interface HandOverOptions {
  name: string
  leaseMs: number
  /** How long a partition that goes to another executor waits for the next ack. */
  patienceMs: number
  /** The consumer waits for its deliveries' checkpoints: what it could not finish is handed over, too. */
  strict: boolean
}

/** How long a server that refuses is asked again. */
const REFUSED_MS = 2_000

/**
 * Gives partitions back cleanly: begin nothing more, wait until what the consumer has is acked, write that, let go. So
 * the next owner repeats nothing.
 */
export class HandOver {
  readonly #holdings: OwnedPartitions
  readonly #checkpoints: Checkpoints
  readonly #store: Store
  readonly #options: HandOverOptions
  readonly #releasing: AbortSignal

  /** `releasing`, aborted: wait for no ack any more. */
  constructor(
    holdings: OwnedPartitions,
    checkpoints: Checkpoints,
    store: Store,
    options: HandOverOptions,
    releasing: AbortSignal,
  ) {
    this.#holdings = holdings
    this.#checkpoints = checkpoints
    this.#store = store
    this.#options = options
    this.#releasing = releasing
  }

  /** One partition, to another executor. */
  one(holding: OwnedPartition): Promise<void> {
    holding.partition.drain()
    holding.leaving = this.#drained([holding], this.#options.patienceMs)
      .then(() => this.#release([holding], false))
      .catch(() => {})
    return holding.leaving
  }

  /** All, in the end: the executor takes part no longer. */
  async all(): Promise<void> {
    const all = [...this.#holdings]
    for (const { partition } of all) partition.drain()
    await Promise.all(all.map(({ leaving }) => leaving))
    const rest = all.filter(({ partition }) => this.#holdings.has(partition))
    await this.#drained(rest)
    await this.#release(rest, true)
  }

  /** The consumer has nothing of these in hand any more, or nobody is to wait for that: nothing was acked for long. */
  async #drained(holdings: readonly OwnedPartition[], patienceMs = Infinity): Promise<void> {
    const { clock } = this.#store
    const { changed } = this.#holdings
    const renewMs = this.#options.leaseMs / 3
    const left = () =>
      holdings.reduce((sum, { partition, replay }) => {
        if (partition.lost) return sum
        const inHand = partition.window.left + (replay.oldest ? 1 : 0)
        // What is yet to be written waits for the database, but no longer than the lease.
        const unwritten = partition.parking + (replay.busy && !replay.oldest ? 1 : 0)
        return sum + inHand + (partition.valid ? unwritten : 0)
      }, 0)
    const wake = () => changed.fire()
    this.#releasing.addEventListener('abort', wake)
    let since = clock.now()
    for (let before = left(); before > 0 && !this.#releasing.aborted; ) {
      const forget = clock.after(Math.min(renewMs, patienceMs), wake)
      await changed.next()
      forget()
      const after = left()
      if (after < before) since = clock.now()
      else if (clock.now() - since >= patienceMs) break
      before = after
      for (const { partition } of holdings)
        if (elapsed(clock, partition.renewedAt) > renewMs) this.#checkpoints.renew(partition)
    }
    this.#releasing.removeEventListener('abort', wake)
  }

  async #release(holdings: readonly OwnedPartition[], leaving: boolean): Promise<void> {
    if (this.#options.strict && !this.#releasing.aborted) {
      for (const { partition } of holdings) partition.handOver().catch((error) => partition.lose(error))
      await this.#drained(holdings)
    }
    const ours = holdings.map(({ partition }) => partition).filter(({ lost }) => !lost)
    for (const partition of ours) partition.returning = true
    const reached = ours.map((partition) => ({ partition, position: partition.window.watermark }))
    try {
      if (ours.length > 0 || leaving) {
        const released = await this.#released(reached, leaving)
        for (const { partition, position } of reached)
          if (released.includes(partition.number)) partition.checkpoint(position)
        if (released.length > 0)
          this.#store.logger.info(
            { subscription: this.#options.name, partitions: released },
            'gave partitions back',
          )
      }
    } catch (error) {
      this.#store.logger.warn({ err: error }, 'a lease could not be given back; it runs out by itself')
    }
    for (const partition of ours) partition.end(new LeaseLostError(this.#options.name, partition.number))
    for (const { partition } of holdings) this.#holdings.remove(partition)
    this.#holdings.changed.fire()
  }

  /** At once on another connection, for an old one may have broken unnoticed; a server that refuses is asked for a while. */
  async #released(reached: Parameters<Store['release']>[0], leaving: boolean): Promise<number[]> {
    const { clock } = this.#store
    const began = clock.now()
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#store.release(reached, leaving)
      } catch (error) {
        const late = isLost(error) ? attempt > 1 : clock.now() - began >= REFUSED_MS
        if (late || !isTransient(error)) throw error
        if (attempt > 1) await clock.sleep(backoff(attempt, clock, REFUSED_MS / 4))
      }
    }
  }
}
