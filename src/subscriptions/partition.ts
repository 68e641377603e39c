import type pg from 'pg'
import { Condition } from '../core/condition.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { Entry } from './ack-window.ts'
import { AckWindow } from './ack-window.ts'
import type { Consumer } from './consumer.ts'
import type { Nack, Source } from './delivery.ts'
import { InternalDelivery } from './delivery.ts'
import type { LeaseLostError } from './errors.ts'
import type { Lease } from './lease.ts'
import type { ParkedStream } from './parked-streams.ts'
import { Parking } from './parking.ts'
import type { Store } from './store.ts'
import { WaitingStreams } from './waiting-streams.ts'

/** What a partition reports to its executor. */
export interface PartitionEvents {
  /** The watermark may have moved, or there is room. */
  changed(partition: Partition): void
  /** A stream was parked to be tried again later. */
  replayAdded(partition: Partition): void
  /** The consumer got an event of a replay, or has finished with it. */
  replayChanged(): void
  /** Its lease must be treated as lost. With `cause` an error of the database is the reason, else another executor owns it. */
  lost(partition: Partition, cause?: unknown): void
}

/**
 * A partition that this executor owns: its lease, its deliveries, its waiting streams and its parked streams.
 *
 *     event -> its stream is parked?   -> skip it
 *           -> its stream is waiting?  -> it waits too
 *           -> otherwise               -> hand it out
 */
export class Partition implements Source {
  readonly partition = this
  readonly isReplay = false
  readonly number: number
  readonly logger: Logger
  readonly telemetry: ConsumerTelemetry | undefined
  readonly lease: Lease
  readonly window: AckWindow
  readonly waiting: WaitingStreams
  readonly parking: Parking
  /** The parked streams, by stream key. */
  readonly parked = new Map<string, ParkedStream>()
  /** Fires when a checkpoint is durable, and when the partition ends. */
  readonly checkpointed = new Condition()
  /** The checkpoint when this executor took it. */
  readonly takenAt: number
  /** The position of the durable checkpoint. */
  durable: number
  /** It is being released. The release writes its last checkpoint. */
  isReleasing = false
  readonly #store: Store
  readonly #consumer: Consumer
  readonly #events: PartitionEvents

  constructor(lease: Lease, takenAt: number, store: Store, consumer: Consumer, events: PartitionEvents) {
    this.number = lease.number
    this.logger = store.logger
    this.telemetry = store.telemetry
    this.lease = lease
    this.window = new AckWindow(takenAt, store.clock, store.budget)
    this.waiting = new WaitingStreams(lease, store.clock, (entry) => this.#admit(entry))
    this.parking = new Parking(this, store)
    this.takenAt = this.durable = takenAt
    this.#consumer = consumer
    this.#store = store
    this.#events = events
  }

  /** Another executor may own it: give it up, and claim it again. */
  lose(cause?: unknown): void {
    this.#events.lost(this, cause)
  }

  changed(): void {
    this.#events.changed(this)
  }

  replayAdded(): void {
    this.#events.replayAdded(this)
  }

  /** The delivery of a replay begins or ends. A drain may wait for that. */
  replayChanged(): void {
    this.changed()
    this.#events.replayChanged()
  }

  /** A checkpoint is written. */
  checkpoint(position: number): void {
    this.durable = Math.max(this.durable, position)
    this.window.durable(position)
    this.checkpointed.fire()
  }

  /** Take the next event of this partition: hand it out, let it wait with its stream, or skip it. */
  offer(event: RecordedEvent, bytes: number): void {
    const { window, waiting, parking, parked } = this
    let queue = waiting.paused
    if (!queue && (parked.size > 0 || !waiting.empty)) {
      const key = streamKey(event)
      if (parking.skips(key, event.position)) {
        window.pass(event.position)
        return
      }
      queue = waiting.get(key)?.entries
    }
    if (queue) queue.push(window.add(event, bytes, 'waiting'))
    else this.handOut(this, window.add(event, bytes))
  }

  /** Take a delivery that waited: hand it out, let it wait with its stream, or skip it. */
  #admit(entry: Entry): void {
    const key = streamKey(entry.event)
    const stream = this.waiting.get(key)
    if (this.parking.skips(key, entry.position)) this.done(entry)
    else if (!stream) this.handOut(this, entry)
    else if (!stream.entries.includes(entry)) stream.entries.push(entry)
  }

  handOut(source: Source, entry: Entry): void {
    if (this.lease.draining || this.lease.lost) return
    entry.state = 'queued'
    this.#consumer.deliver(new InternalDelivery(source, entry))
  }

  begin(entry: Entry): void {
    this.window.begin(entry)
  }

  done(entry: Entry): void {
    this.window.ack(entry)
    this.changed()
  }

  ack(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      const before = entry.settle
      entry.settle = (error) => {
        before?.(error)
        if (error === undefined) resolve()
        else reject(error)
      }
      if (entry.state === 'acked' && entry.position <= this.durable) entry.settle()
      else this.done(entry)
    })
  }

  nack(entry: Entry, { delayMs = 0, error, counts = true }: Nack): void {
    const taken = this.window.reclaim(entry)
    this.logger.debug({ err: error, position: entry.position, delayMs }, 'a delivery was nacked')
    if (!this.lease.draining) {
      this.window.nacked(entry, counts)
      this.waiting.addFor(delayMs, streamKey(entry.event), taken)
    }
    this.changed()
  }

  park(entry: Entry, error: unknown): Promise<void> {
    return this.parking.park(entry, error)
  }

  async writeCheckpoint(client: pg.ClientBase, entry: Entry): Promise<boolean> {
    const reached = [{ partition: this.lease, position: entry.position }]
    return (await this.#store.advance(reached, client)).includes(this.number)
  }

  checkpointCommitted(entries: readonly Entry[]): void {
    for (const entry of entries) this.window.ack(entry)
    this.checkpoint(entries.at(-1)!.position)
    this.changed()
  }

  writeParked(client: pg.ClientBase, { event, attempt }: Entry, error: unknown, replaying: boolean) {
    return this.#store.parked.park(this.lease, event, attempt, error, replaying, client)
  }

  parkedCommitted(entry: Entry, retryInMs: number | null): void {
    this.checkpoint(entry.position)
    this.parking.committed(entry, retryInMs)
  }

  /** Begins no further delivery, and waits only for those that the consumer has. */
  drain(): void {
    this.#withdraw()
    this.lease.drain()
  }

  /**
   * Begins no further delivery, not even one below an acked delivery: the release parks it, and the next owner replays it.
   */
  pause(): void {
    this.drain()
    this.window.withdrawAll()
    this.changed()
  }

  #withdraw(): void {
    this.window.withdraw()
    this.waiting.stop()
  }

  /** This executor does not own it any more. */
  end(error: LeaseLostError): void {
    this.#withdraw()
    this.lease.end(error)
    this.window.abandon(error)
    this.checkpointed.fire()
  }
}
