import type { Clock } from '../core/clock.ts'
import { Queue } from '../core/queue.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import { Budget } from '../read/budget.ts'

/**
 * One event on its way:
 *
 *     queued -> out -> acked            queued: not begun yet, may be taken back
 *       ^        |                      out: the consumer has it
 *       +- held <+  (nack)              held: waits to be handed out again, or behind one that does
 */
export interface Entry {
  /** An acked entry lets go of it: only its position counts any more. */
  event: RecordedEvent
  /** How many bytes of text it was read from. */
  readonly bytes: number
  readonly position: number
  state: 'queued' | 'out' | 'waiting' | 'acked'
  /** 1, 2, 3 …: one more with each nack of its own. */
  attempt: number
  /** Raised when it is taken back: what was handed out before does nothing any more. */
  generation: number
  /** When the consumer got it, by the monotonic clock. */
  since: number
  /** Called once a checkpoint covers it, or with an error once none ever will. */
  settle?: (error?: unknown) => void
}

const NO_EVENT = Object.freeze({}) as RecordedEvent

/**
 * The deliveries of one partition that no checkpoint covers yet, in order. Acks come in any order; the watermark is the
 * position up to which all is acked, so that a checkpoint there skips nothing.
 *
 *     positions   3    7    8    12   | read on to 15, nothing more there
 *     acked       yes  yes  no   yes  | watermark 7; once 8 is acked: 15
 */
export class AckWindow {
  readonly #entries = new Queue<Entry>() // above the watermark
  readonly #covered = new Queue<Entry>() // below the watermark, and no checkpoint is durable yet
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

  /** How many bytes of events these hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many a drain has to wait for: the consumer has them, or begins with them yet. */
  get unfinished(): number {
    let queued = 0
    for (const { state } of this.#entries) if (state === 'queued') queued++
    return this.#out + queued
  }

  /**
   * How many come again if we end now; `strict`: those too that are acked behind one that is not. But where a nacked one
   * holds the checkpoint back these never count: the others flow on.
   */
  load(countsAcked: boolean): number {
    return (
      this.#covered.length + (countsAcked && this.#nacked.size === 0 ? this.#entries.length : this.#unacked)
    )
  }

  /** How many are acked, and wait for nothing but the checkpoint. */
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

  /** The position up to which all that is to be delivered was added. */
  get passed(): number {
    return this.#passed
  }

  /** The oldest that the consumer has. */
  get oldest(): Entry | undefined {
    for (const entry of this.#entries) if (entry.state === 'out') return entry
    return undefined
  }

  add(event: RecordedEvent, bytes = 0): Entry {
    const { position } = event
    const entry: Entry = { event, bytes, position, state: 'queued', attempt: 1, generation: 0, since: 0 }
    this.#entries.push(entry)
    this.#unacked++
    this.#addBytes(bytes)
    this.#passed = Math.max(this.#passed, event.position)
    return entry
  }

  /** The consumer has it from now on. */
  begin(entry: Entry): void {
    if (entry.state === 'out') return
    entry.state = 'out'
    entry.since = this.#clock.now()
    this.#out++
  }

  /** All that is to be delivered up to `position` was added. */
  pass(position: number): void {
    this.#passed = Math.max(this.#passed, position)
    this.#advance()
  }

  ack(entry: Entry): void {
    if (this.#abandoned) entry.settle?.(this.#abandoned.error)
    if (this.#abandoned || entry.state === 'acked') return
    if (entry.state === 'out') this.#out--
    entry.state = 'acked'
    entry.generation++ // who acked it can't nack or park it any more
    this.#unacked--
    this.#addBytes(-entry.bytes)
    entry.event = NO_EVENT
    this.#nacked.delete(entry)
    if (entry === this.#entries.first) this.#advance()
    else this.#settleBehindNacked([entry])
  }

  /** Take back `entry` and the later ones of its stream that are not acked: all of them come again, in order. */
  takeBack(entry: Entry): Entry[] {
    const { category, streamId } = entry.event
    const taken: Entry[] = []
    for (const other of this.#entries) {
      const { event, position, state } = other
      if (position < entry.position || state === 'acked') continue
      if (event.streamId === streamId && event.category === category) taken.push(this.#wait(other))
    }
    return taken
  }

  /** Take back all that is not acked. */
  takeBackAll(): void {
    for (const entry of this.#entries) {
      if (entry.state === 'out' || entry.state === 'queued') this.#wait(entry)
    }
  }

  /** It failed: until it is acked, it alone holds the checkpoint back. `counts`: that was an attempt. */
  nacked(entry: Entry, counts = true): void {
    if (counts) entry.attempt++
    this.#nacked.add(entry)
    this.#settleBehindNacked(this.#entries)
  }

  /** The first of each stream among those that wait below what is acked: a checkpoint can't pass them. */
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

  /** Take back what the consumer has not begun; but not what lies below an acked one, or that would come again too. */
  withdraw(): void {
    const entries = [...this.#entries]
    const last = entries.findLastIndex(({ state }) => state === 'acked' || state === 'out')
    for (const entry of entries.slice(last + 1)) if (entry.state === 'queued') this.#wait(entry)
  }

  /** A checkpoint at `position` is durable. */
  durable(position: number): void {
    for (let entry = this.#covered.first; entry && entry.position <= position; entry = this.#covered.first) {
      this.#covered.shift()
      entry.settle?.()
    }
  }

  /** No checkpoint of ours will ever cover what is left. */
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

  #wait(entry: Entry): Entry {
    if (entry.state === 'out') this.#out--
    entry.state = 'waiting'
    entry.generation++
    return entry
  }

  /** Who waits for the checkpoint of what is acked behind a nacked one would wait for long. */
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
