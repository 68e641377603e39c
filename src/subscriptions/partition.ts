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

export interface PartitionEvents {
  deliver(delivery: HandedOut): void
  /** The watermark may have moved, or there is room. */
  changed(partition: Partition): void
  /** A stream was set aside, to be tried again later. */
  aside(partition: Partition): void
  /** The consumer got an event of a replay, or has dealt with it. */
  replay(): void
  /** A write said that another owns it. */
  lost(partition: Partition, cause?: unknown): void
}

/** A partition that we own: what of it is on its way, what waits to be tried again, and what is set aside. */
export class Partition extends Lease implements Source {
  readonly partition = this
  readonly isReplay = false
  readonly window: AckWindow
  /** Streams that are set aside, by stream. */
  readonly asides = new Map<string, ParkedStream>()
  /** Fires when a checkpoint is durable, and in the end. */
  readonly checkpointed = new Condition()
  /** The checkpoint. */
  durable: number
  /** Parks under way. */
  parking = 0
  /** On its way back: its last checkpoint goes along. */
  returning = false
  readonly #store: Store
  readonly #events: PartitionEvents
  readonly #holds = new WaitingStreams()
  readonly #parks = new Map<string, Promise<void>>()
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

  /** It may be another's: we hold it no longer, and claim it anew. */
  lose(cause?: unknown): void {
    this.#events.lost(this, cause)
  }

  /** A checkpoint is written. */
  checkpoint(position: number): void {
    this.durable = Math.max(this.durable, position)
    this.window.durable(position)
    this.checkpointed.fire()
  }

  /** The next event of this partition: hand it out, or have it wait with its stream, or pass over it. */
  offer(event: RecordedEvent, bytes: number): void {
    if (this.#paused) {
      this.#paused.push(this.#held(event, bytes))
      return
    }
    if (this.asides.size > 0 || !this.#holds.empty) {
      const key = streamKey(event)
      const aside = this.asides.get(key)
      if (aside && event.position >= aside.position) {
        aside.skipped = event.position
        this.window.pass(event.position)
        return
      }
      const hold = this.#holds.get(key)
      if (hold) {
        hold.entries.push(this.#held(event, bytes))
        return
      }
    }
    this.handOut(this, this.window.add(event, bytes))
  }

  /** One that waited: hand it out, or have it wait on with its stream, or pass over it. */
  #admit(entry: Entry): void {
    const key = streamKey(entry.event)
    const aside = this.asides.get(key)
    const hold = this.#holds.get(key)
    if (aside && entry.position >= aside.position) {
      aside.skipped = Math.max(aside.skipped, entry.position)
      this.window.ack(entry)
      this.#events.changed(this)
    } else if (!hold) {
      this.handOut(this, entry)
    } else if (!hold.entries.includes(entry)) {
      hold.entries.push(entry)
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
      const hold = this.#holds.hold(key, taken)
      hold.forget = this.#store.clock.after(delayMs, () => {
        hold.forget = undefined
        this.#unhold(key)
      })
    }
    this.#events.changed(this)
  }

  async park(entry: Entry, error: unknown): Promise<void> {
    const key = streamKey(entry.event)
    const hold = this.#holds.hold(key, this.window.takeBack(entry))
    hold.parking++
    this.parking++
    // One after the other: of two events of a stream the earlier one counts.
    const turn = (this.#parks.get(key) ?? Promise.resolve()).then(() => this.#park(key, entry, error))
    const settled = turn.catch(() => {})
    this.#parks.set(key, settled)
    try {
      await turn
    } catch (cause) {
      this.lose(cause)
      this.throwIfLost()
      throw cause
    } finally {
      hold.parking--
      this.parking--
      if (this.#parks.get(key) === settled) this.#parks.delete(key)
      if (!hold.forget) this.#unhold(key)
      this.#events.changed(this)
    }
  }

  async #park(key: string, { event, attempt }: Entry, error: unknown, replaying = false): Promise<void> {
    const before = this.asides.get(key)
    if (before && before.position <= event.position) return
    const park = () => this.#store.park(this, event, attempt, error, replaying)
    const ours = await retryForever(park, this.#store)
    if (!ours) this.lose()
    this.throwIfLost()
    if (!replaying) this.telemetry?.parked(event)
    this.#setAside(key, { ...aside(event, attempt), replaying })
  }

  /**
   * What waits for another try, while later ones are acked, goes to the next owner as a stream to be replayed, so that the
   * checkpoint can pass and nothing is repeated.
   */
  async handOver(): Promise<void> {
    if (this.window.left > 0) return
    this.parking++
    try {
      for (const [key, entry] of this.window.leftBehind()) {
        this.#holds.hold(key, this.window.takeBack(entry))
        await this.#park(key, { ...entry, attempt: entry.attempt - 1 }, undefined, true)
      }
    } finally {
      this.parking--
      this.#events.changed(this)
    }
  }

  async write(client: pg.ClientBase, entry: Entry): Promise<boolean> {
    return (await this.#store.advance([{ partition: this, position: entry.position }], client)).includes(
      this.number,
    )
  }

  written(entries: readonly Entry[]): void {
    for (const entry of entries) this.window.ack(entry)
    this.checkpoint(entries.at(-1)!.position)
    this.#events.changed(this)
  }

  writeAside(client: pg.ClientBase, { event, attempt }: Entry, error: unknown, replaying: boolean) {
    return this.#store.park(this, event, attempt, error, replaying, client)
  }

  writtenAside(entry: Entry, retryInMs: number | null): void {
    const { event, attempt } = entry
    if (retryInMs === null) this.telemetry?.parked(event)
    this.#holds.hold(streamKey(event), this.window.takeBack(entry))
    this.checkpoint(entry.position)
    const due = this.#store.clock.now() + (retryInMs ?? 0)
    this.#setAside(streamKey(event), { ...aside(event, attempt), replaying: retryInMs !== null, due })
    this.#unhold(streamKey(event))
  }

  #held(event: RecordedEvent, bytes: number): Entry {
    const entry = this.window.add(event, bytes)
    entry.state = 'held'
    return entry
  }

  /** Whatever comes waits, until the returned function is called. */
  pause(): () => void {
    const paused: Entry[] = []
    this.#paused = paused
    return () => {
      this.#paused = undefined
      for (const entry of paused) if (entry.state === 'held') this.#admit(entry)
    }
  }

  /** What waits goes out, in order; but not once more what is taken back by the very consumer that gets it. */
  #unhold(key: string): void {
    const hold = this.#holds.get(key)
    if (!hold || hold.parking > 0) return
    if (!this.valid) {
      this.ours().then((ours) => ours && !hold.forget && this.#unhold(key))
      return
    }
    this.#holds.delete(key)
    const turns = hold.entries.map(({ turn }) => turn)
    hold.entries.forEach((entry, i) => {
      if (entry.state === 'held' && entry.turn === turns[i]) this.#admit(entry)
    })
  }

  /** What of the stream lies at or behind `aside` is set aside; what lies before it still waits. */
  #setAside(key: string, aside: ParkedStream): void {
    const behind = this.#holds.cut(key, aside.position)
    const before = this.asides.get(key)?.skipped ?? 0
    aside.skipped = Math.max(aside.skipped, before, ...behind.map(({ position }) => position))
    this.asides.set(key, aside)
    for (const entry of behind) this.window.ack(entry)
    if (aside.replaying) this.#events.aside(this)
    this.#events.changed(this)
  }

  /** An event of a replay is in flight, or no longer: a drain may wait for that. */
  touch(): void {
    this.#events.changed(this)
    this.#events.replay()
  }

  /** Begin nothing more of it: what the consumer has is all there is to wait for. */
  override drain(): void {
    this.window.withdraw()
    this.#holds.stop()
    super.drain()
  }

  /** All that the consumer has, or is to get yet: of a partition that is drained. */
  takeBack(): void {
    this.window.takeBackAll()
  }

  override end(error: LeaseLostError): void {
    super.end(error)
    this.window.abandon(error)
    this.checkpointed.fire()
  }
}

const aside = ({ category, streamId, position }: RecordedEvent, attempts: number): ParkedStream => ({
  category,
  streamId,
  position,
  attempts,
  replaying: false,
  skipped: position,
  due: 0,
})
