import { isTransient } from '../database/failures.ts'
import { RetryReporter } from '../database/retry-reporter.ts'
import { now } from './instant.ts'
import { leasesOf } from './lease.ts'
import type { Losses } from './losses.ts'
import type { OwnedPartitions } from './owned-partitions.ts'
import type { Partition } from './partition.ts'
import type { Report } from './report.ts'
import type { Store } from './store.ts'

/** How an executor's checkpoints are written. */
export interface CheckpointOptions {
  maxInFlight: number
  /** Write less often, because no ack waits for its checkpoint. */
  isPaced: boolean
}

/** The shortest time between two writes in ms, unless deliveries that wait for a checkpoint fill half of the window. */
const PACE_MS = 5

/**
 * Writes the checkpoints of an executor's partitions with one statement, which also renews their leases. At most one write is
 * under way. The next one writes the newest watermarks, so many acks never queue up many writes.
 */
export class Checkpoints {
  readonly #owned: OwnedPartitions
  readonly #losses: Losses
  readonly #report: Report
  readonly #store: Store
  readonly #options: CheckpointOptions
  readonly #moved = new Set<Partition>()
  readonly #trouble: RetryReporter
  #running: Promise<void> | undefined
  #nextAt = -Infinity // when the next write may begin
  #cancelNext: (() => void) | undefined
  #cancelLater: (() => void) | undefined

  constructor(
    owned: OwnedPartitions,
    losses: Losses,
    report: Report,
    store: Store,
    options: CheckpointOptions,
  ) {
    this.#owned = owned
    this.#losses = losses
    this.#report = report
    this.#store = store
    this.#options = options
    this.#trouble = new RetryReporter(store)
  }

  /** The watermark of a partition may have moved. */
  update(partition: Partition): void {
    if (partition.window.watermark > partition.durable) this.renew(partition)
  }

  /** Write the checkpoint even if it has not moved, to renew the lease. */
  renew(partition: Partition): void {
    if (partition.lease.lost || partition.isReleasing || this.#store.signal.aborted) return
    this.#moved.add(partition)
    if (this.#running) return // the write under way continues with this partition
    const { clock } = this.#store
    const pauseMs = this.#isUrgent(partition) ? 0 : this.#nextAt - clock.now()
    if (pauseMs <= 0) this.#start()
    else this.#cancelNext ??= clock.after(pauseMs, () => this.#start())
  }

  /** Only events of other partitions were passed: write the checkpoint after `ms`. */
  updateLater(ms: number): void {
    this.#cancelLater ??= this.#store.clock.after(ms, () => {
      this.#cancelLater = undefined
      for (const partition of this.#owned.partitions) this.update(partition)
    })
  }

  close(): void {
    this.#cancelLater?.()
    this.#cancelNext?.()
  }

  /** Whether deliveries that only wait for a checkpoint fill half of this partition's share of the window. */
  #isUrgent({ window }: Partition): boolean {
    const { isPaced, maxInFlight } = this.#options
    return !isPaced || 2 * window.covered * this.#owned.size >= maxInFlight
  }

  #start(): void {
    this.#cancelNext?.()
    this.#cancelNext = undefined
    this.#nextAt = this.#store.clock.now() + PACE_MS
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      for (const partition of this.#moved) this.renew(partition)
    })
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#store
    while (this.#moved.size > 0 && !signal.aborted) {
      const partitions = [...this.#moved].filter(({ lease, isReleasing }) => !lease.lost && !isReleasing)
      this.#moved.clear()
      if (partitions.length === 0) break
      const reached = partitions.map((partition) => ({ partition, position: partition.window.watermark }))
      const at = now(clock)
      try {
        const owned = await this.#store.advance(leasesOf(reached))
        for (const { partition, position } of reached) {
          if (owned.includes(partition.number)) {
            partition.lease.renewed(at)
            partition.checkpoint(position)
          } else if (!partition.isReleasing) {
            partition.lose()
          }
        }
        this.#trouble.succeeded()
        for (const { lease } of partitions) if (!lease.lost) this.#losses.over(lease.number)
        this.#owned.changed.fire()
        this.#report.update()
        return
      } catch (error) {
        if (!isTransient(error)) {
          for (const partition of partitions) if (!partition.isReleasing) partition.lose(error)
          break
        }
        for (const partition of partitions) this.#moved.add(partition)
        await clock.sleep(this.#trouble.failed(error), signal).catch(() => {})
      }
    }
    this.#trouble.end()
  }
}
