import { isTransient } from '../database.ts'
import { backoff } from '../live/patience.ts'
import { now } from './instant.ts'
import type { Partition } from './partition.ts'
import type { Store } from './store.ts'

export interface CheckpointEvents {
  written(): void
  lost(partition: Partition, cause?: unknown): void
}

/**
 * Writes the checkpoints of an executor's partitions, all by one statement, which renews their leases too. At most one is
 * under way, and the next one carries the newest watermarks, so that acks cost what the database can take and not more.
 */
export class Checkpoints {
  readonly #store: Store
  readonly #events: CheckpointEvents
  readonly #moved = new Set<Partition>()
  #running: Promise<void> | undefined
  #forget: (() => void) | undefined

  constructor(store: Store, events: CheckpointEvents) {
    this.#store = store
    this.#events = events
  }

  /** The watermark of a partition may have moved. */
  poke(partition: Partition): void {
    if (partition.window.watermark > partition.durable) this.renew(partition)
  }

  /** Write it in any case, for the sake of the lease. */
  renew(partition: Partition): void {
    if (partition.lost || partition.returning || this.#store.signal.aborted) return
    this.#moved.add(partition)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      for (const other of this.#moved) this.renew(other) // poked after the last look
    })
  }

  /** Nothing was acked, but passed over: that is worth a write now and then. */
  pokeLater(partitions: () => Iterable<Partition>, ms: number): void {
    this.#forget ??= this.#store.clock.after(ms, () => {
      this.#forget = undefined
      for (const partition of partitions()) this.poke(partition)
    })
  }

  close(): void {
    this.#forget?.()
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#store
    for (let attempt = 1; this.#moved.size > 0 && !this.#store.signal.aborted; ) {
      const partitions = [...this.#moved].filter(({ lost, returning }) => !lost && !returning)
      this.#moved.clear()
      if (partitions.length === 0) return
      const positions = partitions.map(({ window }) => window.watermark)
      const at = now(clock)
      try {
        const ours = await this.#store.advance(partitions, positions)
        partitions.forEach((partition, i) => {
          if (ours.includes(partition.number)) {
            partition.renewed(at)
            partition.checkpoint(positions[i]!)
          } else if (!partition.returning) {
            this.#events.lost(partition)
          }
        })
        this.#events.written()
        attempt = 1
      } catch (error) {
        if (!isTransient(error)) {
          for (const partition of partitions) if (!partition.returning) this.#events.lost(partition, error)
          continue
        }
        for (const partition of partitions) this.#moved.add(partition)
        this.#store.logger.warn({ err: error, attempt }, 'a checkpoint could not be written; trying again')
        await clock.sleep(backoff(attempt++, clock), signal).catch(() => {})
      }
    }
  }
}
