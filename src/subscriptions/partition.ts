import type pg from 'pg'
import { Condition } from '../core/condition.ts'
import type { Logger } from '../core/logger.ts'
import { retryForever } from '../database/retry-policy.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { Entry } from './ack-window.ts'
import { AckWindow } from './ack-window.ts'
import type { Nack, Source } from './delivery.ts'
import { HandedOut } from './delivery.ts'
import type { LeaseLostError } from './errors.ts'
import type { Instant } from './instant.ts'
import { Lease } from './lease.ts'
import type { Grant, ParkedStream, Store } from './store.ts'
import { WaitingStreams } from './waiting-streams.ts'

/** What a partition reports to its executor. */
export interface PartitionEvents {
  deliver(delivery: HandedOut): void
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
 * A partition that this executor owns: its deliveries, its waiting streams and its parked streams.
 *
 *     event -> its stream is parked?   -> skip it
 *           -> its stream is waiting?  -> it waits too
 *           -> otherwise               -> hand it out
 */
export class Partition extends Lease implements Source {
  readonly partition = this
  readonly isReplay = false
  readonly window: AckWindow
  /** The parked streams, by stream key. */
  readonly parked = new Map<string, ParkedStream>()
  /** Fires when a checkpoint is durable, and when the partition ends. */
  readonly checkpointed = new Condition()
  /** The position of the durable checkpoint. */
  durable: number
  /** How many streams are being parked. */
  parksUnderWay = 0
  /** It is being released. The release writes its last checkpoint. */
  isReleasing = false
  readonly #store: Store
  readonly #events: PartitionEvents
  readonly #waiting = new WaitingStreams()
  readonly #lastPark = new Map<string, Promise<void>>()
  #paused: Entry[] | undefined

  constructor(grant: Grant, at: Instant, store: Store, leaseMs: number, events: PartitionEvents) {
    super(grant, at, leaseMs, store.clock)
    this.durable = grant.position
    this.window = new AckWindow(grant.position, store.clock, store.budget)
    this.#store = store
    this.#events = events
  }

  get logger(): Logger {
    return this.#store.logger
  }

  get telemetry(): ConsumerTelemetry | undefined {
    return this.#store.telemetry
  }

  /** Another executor may own it: give it up, and claim it again. */
  lose(cause?: unknown): void {
    this.#events.lost(this, cause)
  }

  /** A checkpoint is written. */
  checkpoint(position: number): void {
    this.durable = Math.max(this.durable, position)
    this.window.durable(position)
    this.checkpointed.fire()
  }

  /** Take the next event of this partition: hand it out, let it wait with its stream, or skip it. */
  offer(event: RecordedEvent, bytes: number): void {
    if (this.#paused) {
      this.#paused.push(this.#addWaiting(event, bytes))
      return
    }
    if (this.parked.size > 0 || !this.#waiting.empty) {
      const key = streamKey(event)
      const parked = this.parked.get(key)
      if (parked && event.position >= parked.position) {
        parked.skipped = event.position
        this.window.pass(event.position)
        return
      }
      const waiting = this.#waiting.get(key)
      if (waiting) {
        waiting.entries.push(this.#addWaiting(event, bytes))
        return
      }
    }
    this.handOut(this, this.window.add(event, bytes))
  }

  /** Take a delivery that waited: hand it out, let it wait with its stream, or skip it. */
  #admit(entry: Entry): void {
    const key = streamKey(entry.event)
    const parked = this.parked.get(key)
    const waiting = this.#waiting.get(key)
    if (parked && entry.position >= parked.position) {
      parked.skipped = Math.max(parked.skipped, entry.position)
      this.window.ack(entry)
      this.#events.changed(this)
    } else if (!waiting) {
      this.handOut(this, entry)
    } else if (!waiting.entries.includes(entry)) {
      waiting.entries.push(entry)
    }
  }

  handOut(source: Source, entry: Entry): void {
    if (this.draining || this.lost) return
    entry.state = 'queued'
    this.#events.deliver(new HandedOut(source, entry))
  }

  begin(entry: Entry): void {
    this.window.begin(entry)
  }

  done(entry: Entry): void {
    this.window.ack(entry)
    this.#events.changed(this)
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
    const taken = this.window.takeBack(entry)
    this.#store.logger.debug({ err: error, position: entry.position, delayMs }, 'a delivery was nacked')
    if (!this.draining) {
      this.window.nacked(entry, counts)
      const key = streamKey(entry.event)
      const waiting = this.#waiting.add(key, taken)
      waiting.cancelPause = this.#store.clock.after(delayMs, () => {
        waiting.cancelPause = undefined
        this.#resume(key)
      })
    }
    this.#events.changed(this)
  }

  async park(entry: Entry, error: unknown): Promise<void> {
    const key = streamKey(entry.event)
    const waiting = this.#waiting.add(key, this.window.takeBack(entry))
    waiting.parksUnderWay++
    this.parksUnderWay++
    // Events of a stream are parked one after the other, because the earlier one counts.
    const turn = (this.#lastPark.get(key) ?? Promise.resolve()).then(() => this.#park(key, entry, error))
    const settled = turn.catch(() => {})
    this.#lastPark.set(key, settled)
    try {
      await turn
    } catch (cause) {
      this.lose(cause)
      this.throwIfLost()
      throw cause
    } finally {
      waiting.parksUnderWay--
      this.parksUnderWay--
      if (this.#lastPark.get(key) === settled) this.#lastPark.delete(key)
      if (!waiting.cancelPause) this.#resume(key)
      this.#events.changed(this)
    }
  }

  async #park(key: string, { event, attempt }: Entry, error: unknown, replaying = false): Promise<void> {
    const before = this.parked.get(key)
    if (before && before.position <= event.position) return
    const park = () => this.#store.park(this, event, attempt, error, replaying)
    const owned = await retryForever(park, this.#store)
    if (!owned) this.lose()
    this.throwIfLost()
    if (!replaying) this.telemetry?.parked(event)
    this.#markParked(key, { ...parkedAt(event, attempt), replaying })
  }

  /**
   * Park streams that wait for their next attempt below acked deliveries. The next owner replays them, so the checkpoint can
   * pass them and nothing is repeated.
   */
  async parkUnfinished(): Promise<void> {
    if (this.window.unfinished > 0) return
    this.parksUnderWay++
    try {
      for (const [key, entry] of this.window.waitingBelowAcked()) {
        this.#waiting.add(key, this.window.takeBack(entry))
        await this.#park(key, { ...entry, attempt: entry.attempt - 1 }, undefined, true)
      }
    } finally {
      this.parksUnderWay--
      this.#events.changed(this)
    }
  }

  async writeCheckpoint(client: pg.ClientBase, entry: Entry): Promise<boolean> {
    return (await this.#store.advance([{ partition: this, position: entry.position }], client)).includes(
      this.number,
    )
  }

  checkpointCommitted(entries: readonly Entry[]): void {
    for (const entry of entries) this.window.ack(entry)
    this.checkpoint(entries.at(-1)!.position)
    this.#events.changed(this)
  }

  writeParked(client: pg.ClientBase, { event, attempt }: Entry, error: unknown, replaying: boolean) {
    return this.#store.park(this, event, attempt, error, replaying, client)
  }

  parkedCommitted(entry: Entry, retryInMs: number | null): void {
    const { event, attempt } = entry
    if (retryInMs === null) this.telemetry?.parked(event)
    this.#waiting.add(streamKey(event), this.window.takeBack(entry))
    this.checkpoint(entry.position)
    const due = this.#store.clock.now() + (retryInMs ?? 0)
    this.#markParked(streamKey(event), { ...parkedAt(event, attempt), replaying: retryInMs !== null, due })
    this.#resume(streamKey(event))
  }

  #addWaiting(event: RecordedEvent, bytes: number): Entry {
    const entry = this.window.add(event, bytes)
    entry.state = 'waiting'
    return entry
  }

  /** Let all new events wait until the returned function is called. */
  pause(): () => void {
    const paused: Entry[] = []
    this.#paused = paused
    return () => {
      this.#paused = undefined
      for (const entry of paused) if (entry.state === 'waiting') this.#admit(entry)
    }
  }

  /** Hand out what waits, in order, except deliveries that the consumer takes back while this runs. */
  #resume(key: string): void {
    const waiting = this.#waiting.get(key)
    if (!waiting || waiting.parksUnderWay > 0) return
    if (!this.valid) {
      this.stillOwned().then((owned) => owned && !waiting.cancelPause && this.#resume(key))
      return
    }
    this.#waiting.delete(key)
    const turns = waiting.entries.map(({ generation }) => generation)
    waiting.entries.forEach((entry, i) => {
      if (entry.state === 'waiting' && entry.generation === turns[i]) this.#admit(entry)
    })
  }

  /** The stream is parked: skip its deliveries from the parked position on. Earlier ones still wait. */
  #markParked(key: string, parked: ParkedStream): void {
    const later = this.#waiting.cut(key, parked.position)
    const before = this.parked.get(key)?.skipped ?? 0
    parked.skipped = Math.max(parked.skipped, before, ...later.map(({ position }) => position))
    this.parked.set(key, parked)
    for (const entry of later) this.window.ack(entry)
    if (parked.replaying) this.#events.replayAdded(this)
    this.#events.changed(this)
  }

  /** The delivery of a replay begins or ends. A drain may wait for that. */
  replayChanged(): void {
    this.#events.changed(this)
    this.#events.replayChanged()
  }

  /** Begin nothing more, and wait only for what the consumer has. */
  override drain(): void {
    this.window.withdraw()
    this.#waiting.stop()
    super.drain()
  }

  /** Take back all unacked deliveries of a partition that is drained. */
  takeBack(): void {
    this.window.takeBackAll()
  }

  override end(error: LeaseLostError): void {
    super.end(error)
    this.window.abandon(error)
    this.checkpointed.fire()
  }
}

const parkedAt = ({ category, streamId, position }: RecordedEvent, attempts: number): ParkedStream => ({
  category,
  streamId,
  position,
  attempts,
  replaying: false,
  skipped: position,
  due: 0,
})
