import { retryForever } from '../database/retry-policy.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { AckWindow, Entry } from './ack-window.ts'
import type { Lease } from './lease.ts'
import type { ParkedStream } from './parked-streams.ts'
import type { Store } from './store.ts'
import type { WaitingStreams } from './waiting-streams.ts'

/** What parking needs from its partition. */
export interface ParkingPartition {
  readonly lease: Lease
  readonly window: AckWindow
  readonly waiting: WaitingStreams
  /** The parked streams, by stream key. */
  readonly parked: Map<string, ParkedStream>
  /** Treat the lease as lost; `cause` is the error of the database, if there is one. */
  lose(cause?: unknown): void
  /** A park has ended, or deliveries of a parked stream were skipped. */
  changed(): void
  /** A stream was parked to be tried again later. */
  replayAdded(): void
}

/**
 * Parks the streams of a partition:
 *
 *     its deliveries wait -> write the row -> parked: its deliveries are skipped from the parked event on
 */
export class Parking {
  readonly #partition: ParkingPartition
  readonly #store: Store

  constructor(partition: ParkingPartition, store: Store) {
    this.#partition = partition
    this.#store = store
  }

  /** Whether the delivery at this position must be skipped, because its stream is parked. */
  skips(key: string, position: number): boolean {
    const parked = this.#partition.parked.get(key)
    if (!parked || position < parked.position) return false
    parked.skipped = Math.max(parked.skipped, position)
    return true
  }

  async park(entry: Entry, error: unknown): Promise<void> {
    const { window, waiting } = this.#partition
    const key = streamKey(entry.event)
    const park = () => this.#park(key, entry, error)
    try {
      await waiting.addWhile(park, key, window.reclaim(entry))
    } finally {
      this.#partition.changed()
    }
  }

  async #park(key: string, entry: Entry, error: unknown, replaying = false): Promise<void> {
    const { event, attempt } = entry // the event is removed from an entry that is acked
    const before = this.#partition.parked.get(key)
    if (before && before.position <= event.position) return
    await this.write(entry, error, replaying)
    if (!replaying) this.#store.telemetry?.parked(event)
    this.#parked(event, attempt, replaying)
  }

  /** Write the row of a parked stream; with `replaying` it is parked only until its next attempt. Throws if the lease is lost. */
  async write({ event, attempt }: Entry, error: unknown, replaying: boolean): Promise<void> {
    const { lease } = this.#partition
    const write = () => this.#store.parked.park(lease, event, attempt, error, replaying)
    try {
      if (!(await retryForever(write, this.#store))) this.#partition.lose()
    } catch (cause) {
      this.#partition.lose(cause)
    }
    lease.throwIfLost()
  }

  /**
   * Park streams that wait for their next attempt below acked deliveries. The next owner replays them, so the checkpoint can
   * pass them and nothing is repeated.
   */
  async parkUnfinished(): Promise<void> {
    const { window, waiting } = this.#partition
    if (window.unfinished > 0) return
    waiting.parksUnderWay++
    try {
      for (const [key, entry] of window.waitingBelowAcked()) {
        waiting.add(key, window.reclaim(entry))
        await this.#park(key, { ...entry, attempt: entry.attempt - 1 }, undefined, true)
      }
    } finally {
      waiting.parksUnderWay--
      this.#partition.changed()
    }
  }

  /** A handler's transaction has written the row. */
  committed(entry: Entry, retryInMs: number | null): void {
    const { event, attempt } = entry
    const { window, waiting } = this.#partition
    if (retryInMs === null) this.#store.telemetry?.parked(event)
    waiting.add(streamKey(event), window.reclaim(entry))
    this.#parked(event, attempt, retryInMs !== null, this.#store.clock.now() + (retryInMs ?? 0))
    waiting.resume(streamKey(event))
  }

  /** The stream is parked: skip its deliveries from the parked position on. Earlier ones still wait. */
  #parked(event: RecordedEvent, attempts: number, replaying: boolean, due = 0): void {
    const { category, streamId, position } = event
    const { window, waiting, parked } = this.#partition
    const key = streamKey(event)
    const later = waiting.cut(key, position)
    const before = parked.get(key)?.skipped ?? 0
    const skipped = Math.max(position, before, ...later.map((entry) => entry.position))
    parked.set(key, {
      category,
      streamId,
      position,
      attempts,
      replaying,
      discarded: false,
      skipped,
      due,
    })
    for (const entry of later) window.ack(entry)
    if (replaying) this.#partition.replayAdded()
    this.#partition.changed()
  }
}
