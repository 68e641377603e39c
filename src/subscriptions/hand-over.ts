import { backoff } from '../core/backoff.ts'
import { isLost, isTransient } from '../database/failures.ts'
import type { Checkpoints } from './checkpoints.ts'
import { LeaseLostError } from './errors.ts'
import { elapsed } from './instant.ts'
import { leasesOf } from './lease.ts'
import type { OwnedPartition, OwnedPartitions } from './owned-partitions.ts'
import type { Store } from './store.ts'

/** How partitions are handed over. */
export interface HandOverOptions {
  name: string
  leaseMs: number
  /** How long a partition that goes to another executor waits for the next ack, in ms; while the subscription is paused, for ever. */
  ackWaitMs: number
  /** Streams that wait for their next attempt are parked to be replayed by the next owner, so the checkpoint passes them. */
  parksUnfinished: boolean
}

/** How long a release is tried again if the server refuses it, in ms. */
const REFUSED_MS = 2_000

/**
 * Hands partitions over cleanly, so that the next owner repeats no event:
 *
 *     begin nothing more -> wait for acks -> write the checkpoint and release the lease
 */
export class HandOver {
  readonly #owned: OwnedPartitions
  readonly #checkpoints: Checkpoints
  readonly #store: Store
  readonly #options: HandOverOptions
  readonly #releasing: AbortSignal
  /** The subscription is paused: no other executor waits for these partitions, so all acks are waited for. */
  waitsForAcks = false

  /** When `releasing` aborts, acks are not waited for any more. */
  constructor(
    owned: OwnedPartitions,
    checkpoints: Checkpoints,
    store: Store,
    options: HandOverOptions,
    releasing: AbortSignal,
  ) {
    this.#owned = owned
    this.#checkpoints = checkpoints
    this.#store = store
    this.#options = options
    this.#releasing = releasing
  }

  /** Hand one partition over to another executor. */
  one(owned: OwnedPartition): Promise<void> {
    owned.partition.drain()
    const ackWaitMs = () => (this.waitsForAcks ? Infinity : this.#options.ackWaitMs)
    owned.leaving = this.#drained([owned], ackWaitMs)
      .then(() => this.#release([owned], false))
      .catch(() => {})
    return owned.leaving
  }

  /** Hands all partitions over and unregisters the executor. */
  async all(): Promise<void> {
    const all = [...this.#owned]
    for (const { partition } of all) partition.drain()
    await Promise.all(all.map(({ leaving }) => leaving))
    const rest = all.filter(({ partition }) => this.#owned.has(partition))
    await this.#drained(rest)
    await this.#release(rest, true)
  }

  /** Wait until the consumer has no delivery of these partitions, or has acked nothing for `ackWaitMs`, or `releasing` aborts. */
  async #drained(partitions: readonly OwnedPartition[], ackWaitMs = () => Infinity): Promise<void> {
    const { clock } = this.#store
    const { changed } = this.#owned
    const renewMs = this.#options.leaseMs / 3
    const countUnfinished = () =>
      partitions.reduce((sum, { partition, replay }) => {
        if (partition.lease.lost) return sum
        const inHand = partition.window.unfinished + (replay.oldest ? 1 : 0)
        // Writes under way are waited for as long as the lease is valid.
        const unwritten = partition.waiting.parksUnderWay + (replay.busy && !replay.oldest ? 1 : 0)
        return sum + inHand + (partition.lease.valid ? unwritten : 0)
      }, 0)
    const wake = () => changed.fire()
    this.#releasing.addEventListener('abort', wake)
    let since = clock.now()
    for (let before = countUnfinished(); before > 0 && !this.#releasing.aborted; ) {
      const cancel = clock.after(Math.min(renewMs, ackWaitMs()), wake)
      await changed.next()
      cancel()
      const after = countUnfinished()
      if (after < before) since = clock.now()
      else if (clock.now() - since >= ackWaitMs()) break
      before = after
      for (const { partition } of partitions)
        if (elapsed(clock, partition.lease.renewedAt) > renewMs) this.#checkpoints.renew(partition)
    }
    this.#releasing.removeEventListener('abort', wake)
  }

  async #release(partitions: readonly OwnedPartition[], leaving: boolean): Promise<void> {
    if (this.#options.parksUnfinished && !this.#releasing.aborted) {
      for (const { partition } of partitions) partition.parking.parkUnfinished().catch(() => {}) // its lease is lost then
      await this.#drained(partitions)
    }
    const stillOwned = partitions.map(({ partition }) => partition).filter(({ lease }) => !lease.lost)
    for (const partition of stillOwned) partition.isReleasing = true
    const reached = stillOwned.map((partition) => ({ partition, position: partition.window.watermark }))
    try {
      if (stillOwned.length > 0 || leaving) {
        const released = await this.#releaseInDatabase(leasesOf(reached), leaving)
        for (const { partition, position } of reached)
          if (released.includes(partition.number)) partition.checkpoint(position)
        if (released.length > 0)
          this.#store.logger.info(
            { subscription: this.#options.name, partitions: released },
            'gave partitions back',
          )
      }
    } catch (error) {
      this.#store.logger.warn({ err: error }, 'a lease could not be released; it expires by itself')
    }
    for (const partition of stillOwned)
      partition.end(new LeaseLostError(this.#options.name, partition.number))
    for (const { partition } of partitions) this.#owned.remove(partition)
    this.#owned.changed.fire()
  }

  /** Tries a second time at once, because the connection may have been broken before. If the server refuses, it tries for REFUSED_MS. */
  async #releaseInDatabase(reached: Parameters<Store['release']>[0], leaving: boolean): Promise<number[]> {
    const { clock } = this.#store
    const began = clock.now()
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#store.release(reached, leaving)
      } catch (error) {
        const late = isLost(error) ? attempt > 1 : clock.now() - began >= REFUSED_MS
        if (late || !isTransient(error)) throw error
        if (attempt > 1) await clock.sleep(backoff(attempt, clock, { maxMs: REFUSED_MS / 4 }))
      }
    }
  }
}
