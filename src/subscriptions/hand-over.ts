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
  ackWaitMs: number
  /** The consumer waits for its deliveries' checkpoints: what it could not finish is handed over, too. */
  parksUnfinished: boolean
}

/** How long a server that refuses is asked again. */
const REFUSED_MS = 2_000

/**
 * Gives partitions back cleanly: begin nothing more, wait until what the consumer has is acked, write that, let go. So
 * the next owner repeats nothing.
 */
export class HandOver {
  readonly #owned: OwnedPartitions
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
    this.#owned = holdings
    this.#checkpoints = checkpoints
    this.#store = store
    this.#options = options
    this.#releasing = releasing
  }

  /** One partition, to another executor. */
  one(owned: OwnedPartition): Promise<void> {
    owned.partition.drain()
    owned.leaving = this.#drained([owned], this.#options.ackWaitMs)
      .then(() => this.#release([owned], false))
      .catch(() => {})
    return owned.leaving
  }

  /** All, in the end: the executor takes part no longer. */
  async all(): Promise<void> {
    const all = [...this.#owned]
    for (const { partition } of all) partition.drain()
    await Promise.all(all.map(({ leaving }) => leaving))
    const rest = all.filter(({ partition }) => this.#owned.has(partition))
    await this.#drained(rest)
    await this.#release(rest, true)
  }

  /** The consumer has nothing of these in hand any more, or nobody is to wait for that: nothing was acked for long. */
  async #drained(partitions: readonly OwnedPartition[], ackWaitMs = Infinity): Promise<void> {
    const { clock } = this.#store
    const { changed } = this.#owned
    const renewMs = this.#options.leaseMs / 3
    const countUnfinished = () =>
      partitions.reduce((sum, { partition, replay }) => {
        if (partition.lost) return sum
        const inHand = partition.window.unfinished + (replay.oldest ? 1 : 0)
        // What is yet to be written waits for the database, but no longer than the lease.
        const unwritten = partition.parksUnderWay + (replay.busy && !replay.oldest ? 1 : 0)
        return sum + inHand + (partition.valid ? unwritten : 0)
      }, 0)
    const wake = () => changed.fire()
    this.#releasing.addEventListener('abort', wake)
    let since = clock.now()
    for (let before = countUnfinished(); before > 0 && !this.#releasing.aborted; ) {
      const cancel = clock.after(Math.min(renewMs, ackWaitMs), wake)
      await changed.next()
      cancel()
      const after = countUnfinished()
      if (after < before) since = clock.now()
      else if (clock.now() - since >= ackWaitMs) break
      before = after
      for (const { partition } of partitions)
        if (elapsed(clock, partition.renewedAt) > renewMs) this.#checkpoints.renew(partition)
    }
    this.#releasing.removeEventListener('abort', wake)
  }

  async #release(partitions: readonly OwnedPartition[], leaving: boolean): Promise<void> {
    if (this.#options.parksUnfinished && !this.#releasing.aborted) {
      for (const { partition } of partitions)
        partition.parkUnfinished().catch((error) => partition.lose(error))
      await this.#drained(partitions)
    }
    const stillOwned = partitions.map(({ partition }) => partition).filter(({ lost }) => !lost)
    for (const partition of stillOwned) partition.isReleasing = true
    const reached = stillOwned.map((partition) => ({ partition, position: partition.window.watermark }))
    try {
      if (stillOwned.length > 0 || leaving) {
        const released = await this.#releaseInDatabase(reached, leaving)
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
    for (const partition of stillOwned)
      partition.end(new LeaseLostError(this.#options.name, partition.number))
    for (const { partition } of partitions) this.#owned.remove(partition)
    this.#owned.changed.fire()
  }

  /** At once on another connection, for an old one may have broken unnoticed; a server that refuses is asked for a while. */
  async #releaseInDatabase(reached: Parameters<Store['release']>[0], leaving: boolean): Promise<number[]> {
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
