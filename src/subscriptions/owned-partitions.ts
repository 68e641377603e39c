import { Condition } from '../core/condition.ts'
import type { Partition } from './partition.ts'
import type { Replay } from './replay.ts'

/** A partition that an executor owns, with the replay of its parked streams. */
export interface OwnedPartition {
  readonly partition: Partition
  readonly replay: Replay
  /** Settles when the partition is handed over, if that has begun. */
  leaving?: Promise<void>
}

/** How many deliveries, acked or not, may be above the watermarks; or 16 times maxInFlight, if that is more. */
const MAX_SPAN = 10_000

/** The partitions that an executor owns. */
export class OwnedPartitions implements Iterable<OwnedPartition> {
  /** Fires when something may have changed: acks, room, leases, the end of a drain. */
  readonly changed = new Condition()
  readonly #byNumber = new Map<number, OwnedPartition>()

  get size(): number {
    return this.#byNumber.size
  }

  [Symbol.iterator](): Iterator<OwnedPartition> {
    return this.#byNumber.values()
  }

  get(number: number): OwnedPartition | undefined {
    return this.#byNumber.get(number)
  }

  /** Whether this object is owned. A partition that was lost and claimed again is a different object. */
  has(partition: Partition): boolean {
    return this.#byNumber.get(partition.number)?.partition === partition
  }

  add(owned: OwnedPartition): void {
    this.#byNumber.set(owned.partition.number, owned)
  }

  remove(partition: Partition): void {
    if (this.has(partition)) this.#byNumber.delete(partition.number)
  }

  get partitions(): Partition[] {
    return [...this.#byNumber.values()].map(({ partition }) => partition)
  }

  /** The partitions that get more deliveries. */
  get active(): Partition[] {
    return this.partitions.filter(({ lease }) => !lease.draining)
  }

  /** How many deliveries are not acked. */
  get inFlight(): number {
    let count = 0
    for (const { partition, replay } of this.#byNumber.values())
      count += partition.window.size + (replay.oldest ? 1 : 0)
    return count
  }

  /** The size of their events, in bytes. */
  get bytes(): number {
    let bytes = 0
    for (const { partition } of this.#byNumber.values()) bytes += partition.window.bytes
    return bytes
  }

  /** How many more deliveries may be handed out. */
  room(maxInFlight: number, countsAcked: boolean): number {
    let load = 0
    let span = 0
    for (const { partition, replay } of this.#byNumber.values()) {
      load += partition.window.load(countsAcked) + (replay.oldest ? 1 : 0)
      span += partition.window.span
    }
    return Math.min(maxInFlight - load, Math.max(MAX_SPAN, 16 * maxInFlight) - span)
  }
}
