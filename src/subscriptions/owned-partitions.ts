import { Condition } from '../core/condition.ts'
import type { Partition } from './partition.ts'
import type { Replay } from './replay.ts'

/** A partition that is held, with the replay of its streams. */
export interface OwnedPartition {
  readonly partition: Partition
  readonly replay: Replay
  /** On its way back. */
  leaving?: Promise<void>
}

/** Deliveries above the watermarks at most, acked ones among them, or 16 times maxInFlight. */
const MAX_SPAN = 10_000

/** The partitions that an executor holds. */
export class OwnedPartitions implements Iterable<OwnedPartition> {
  /** Something may have changed: acks, room, leases, the end of a drain. */
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

  /** This very one: it may be lost, and claimed anew. */
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

  /** Those of which more is to be handed out. */
  get active(): Partition[] {
    return this.partitions.filter(({ draining }) => !draining)
  }

  /** Deliveries that are not acked. */
  get inFlight(): number {
    let count = 0
    for (const { partition, replay } of this.#byNumber.values())
      count += partition.window.size + (replay.oldest ? 1 : 0)
    return count
  }

  /** How many bytes of events these hold. */
  get bytes(): number {
    let bytes = 0
    for (const { partition } of this.#byNumber.values()) bytes += partition.window.bytes
    return bytes
  }

  /** How many deliveries more may go out. */
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
