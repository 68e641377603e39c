import type { Clock } from '../core/clock.ts'
import { Queue } from '../core/queue.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import { Budget } from '../read/budget.ts'

/**
 * One delivery of a partition and its state:
 *
 *     queued -> out -> acked            queued: the consumer has not begun with it, so it can be taken back
 *       ^         |                     out: the consumer has it
 *       +-waiting-+  (nack)             waiting: it waits for its next attempt, or an earlier event of its stream does
 */
export interface Entry {
  /** Removed when the entry is acked, so that its memory is freed. */
  event: RecordedEvent
  /** The size of the event's text in the database, in bytes. */
  readonly bytes: number
  readonly position: number
  state: 'queued' | 'out' | 'waiting' | 'acked'
  /** 1, 2, 3 …: each nack of this delivery adds one. */
  attempt: number
  /** Increases when the delivery is acked or taken back. Deliveries with an older generation are stale. */
  generation: number
  /** When the consumer got it, in ms of the monotonic clock. */
  since: number
  /** Called when a checkpoint covers it, or with an error when no checkpoint ever will. */
  settle?: (error?: unknown) => void
}

const NO_EVENT = Object.freeze({}) as RecordedEvent

/**
 * The deliveries of one partition that no checkpoint covers yet, in order. Acks may come in any order. The watermark is the
 * position up to which everything is acked, so a checkpoint at the watermark skips no event.
 *
 *     positions   3    7    8    12   | events were read up to position 15
 *     acked       yes  yes  no   yes  | the watermark is 7; when 8 is acked it is 15
 */
export class AckWindow {
  readonly #entries = new Queue<Entry>() // above the watermark
  readonly #covered = new Queue<Entry>() // at or below the watermark, but not covered by a durable checkpoint yet
  readonly #nacked = new Set<Entry>()
  #unacked = 0
  #bytes = 0
  #out = 0
  readonly #clock: Clock
  readonly #budget: Budget
  #watermark: number
  #passed: number
  #abandoned: { error: unknown } | undefined

  constructor(position: number, clock: Clock, budget = new Budget()) {
    this.#clock = clock
    this.#budget = budget
    this.#watermark = position
    this.#passed = position
  }

  /** How many deliveries are not acked. */
  get size(): number {
    return this.#unacked
  }

  /** The size of their events, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many deliveries a drain has to wait for: those that the consumer has or will still begin. */
  get unfinished(): number {
    let queued = 0
    for (const { state } of this.#entries) if (state === 'queued') queued++
    return this.#out + queued
  }

  /**
   * How many deliveries are in flight. With `countsAcked` this includes acked ones above the watermark, because they come
   * again after a crash. They are not counted while a nacked delivery holds the checkpoint back, so that other streams go on.
   */
  load(countsAcked: boolean): number {
    return (
      this.#covered.length + (countsAcked && this.#nacked.size === 0 ? this.#entries.length : this.#unacked)
    )
  }

  /** How many acked deliveries only wait for their checkpoint. */
  get covered(): number {
    return this.#covered.length
  }

  /** How many deliveries are above the watermark, acked or not. */
  get span(): number {
    return this.#entries.length
  }

  get watermark(): number {
    return this.#watermark
  }

  /** The position up to which all events were added. */
  get passed(): number {
    return this.#passed
  }

  /** The oldest delivery that the consumer has. */
  get oldest(): Entry | undefined {
    for (const entry of this.#entries) if (entry.state === 'out') return entry
    return undefined
  }

  add(event: RecordedEvent, bytes = 0, state: 'queued' | 'waiting' = 'queued'): Entry {
    const { position } = event
    const entry: Entry = { event, bytes, position, state, attempt: 1, generation: 0, since: 0 }
    this.#entries.push(entry)
    this.#unacked++
    this.#addBytes(bytes)
    this.#passed = Math.max(this.#passed, event.position)
    return entry
  }

  /** The consumer has it now. */
  begin(entry: Entry): void {
    if (entry.state === 'out') return
    entry.state = 'out'
    entry.since = this.#clock.now()
    this.#out++
  }

  /** All events up to `position` were added. */
  pass(position: number): void {
    this.#passed = Math.max(this.#passed, position)
    this.#advance()
  }

  ack(entry: Entry): void {
    if (this.#abandoned) entry.settle?.(this.#abandoned.error)
    if (this.#abandoned || entry.state === 'acked') return
    if (entry.state === 'out') this.#out--
    entry.state = 'acked'
    entry.generation++ // after an ack, nack and park do nothing
    this.#unacked--
    this.#addBytes(-entry.bytes)
    entry.event = NO_EVENT
    this.#nacked.delete(entry)
    if (entry === this.#entries.first) this.#advance()
    else this.#settleBehindNacked([entry])
  }

  /** Take back `entry` and the later unacked deliveries of its stream. They come again, in order. */
  reclaim(entry: Entry): Entry[] {
    const { category, streamId } = entry.event
    const taken: Entry[] = []
    for (const other of this.#entries) {
      const { event, position, state } = other
      if (position < entry.position || state === 'acked') continue
      if (event.streamId === streamId && event.category === category) taken.push(this.#wait(other))
    }
    return taken
  }

  /** Take back every delivery that is not acked. */
  reclaimAll(): void {
    for (const entry of this.#entries) {
      if (entry.state === 'out' || entry.state === 'queued') this.#wait(entry)
    }
  }

  /** The delivery failed, and holds the checkpoint back until it is acked. `counts`: the failure counts as an attempt. */
  nacked(entry: Entry, counts = true): void {
    if (counts) entry.attempt++
    this.#nacked.add(entry)
    this.#settleBehindNacked(this.#entries)
  }

  /** The first waiting delivery of each stream that has one below an acked delivery. A checkpoint can't pass them. */
  waitingBelowAcked(): Map<string, Entry> {
    const entries = [...this.#entries]
    const last = entries.findLastIndex(({ state }) => state === 'acked')
    const first = new Map<string, Entry>()
    for (const entry of entries.slice(0, Math.max(last, 0))) {
      if (entry.state !== 'waiting') continue
      const key = streamKey(entry.event)
      if (!first.has(key)) first.set(key, entry)
    }
    return first
  }

  /** Take back what the consumer has not begun. Deliveries below an acked one stay, or the acked one would come again too. */
  withdraw(): void {
    const entries = [...this.#entries]
    const last = entries.findLastIndex(({ state }) => state === 'acked' || state === 'out')
    this.#withdraw(entries.slice(last + 1))
  }

  /** Take back what the consumer has not begun, also below acked deliveries. */
  withdrawAll(): void {
    this.#withdraw([...this.#entries])
  }

  /** A checkpoint at `position` is durable. */
  durable(position: number): void {
    for (let entry = this.#covered.first; entry && entry.position <= position; entry = this.#covered.first) {
      this.#covered.shift()
      entry.settle?.()
    }
  }

  /** The lease is lost: no checkpoint of this executor will cover what is left. */
  abandon(error: unknown): void {
    this.#abandoned ??= { error }
    for (const entry of [...this.#covered.clear(), ...this.#entries.clear()]) entry.settle?.(error)
    this.#addBytes(-this.#bytes)
    this.#unacked = this.#out = 0
    this.#nacked.clear()
  }

  #addBytes(bytes: number): void {
    this.#bytes += bytes
    this.#budget.add(bytes)
  }

  #withdraw(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.state === 'queued') this.#wait(entry)
  }

  #wait(entry: Entry): Entry {
    if (entry.state === 'out') this.#out--
    entry.state = 'waiting'
    entry.generation++
    return entry
  }

  /** Acks above a nacked delivery resolve at once: their checkpoint may be far away. */
  #settleBehindNacked(entries: Iterable<Entry>): void {
    if (this.#nacked.size === 0) return
    const first = Math.min(...[...this.#nacked].map(({ position }) => position))
    for (const entry of entries) if (entry.state === 'acked' && entry.position > first) entry.settle?.()
  }

  #advance(): void {
    for (let entry = this.#entries.first; entry?.state === 'acked'; entry = this.#entries.first) {
      this.#entries.shift()
      this.#watermark = entry.position
      this.#covered.push(entry)
    }
    if (this.#entries.first === undefined) this.#watermark = Math.max(this.#watermark, this.#passed)
  }
}
