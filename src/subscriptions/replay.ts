import type pg from 'pg'
import { Condition } from '../core/condition.ts'
import { retryForever } from '../database/retry-policy.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { Entry } from './ack-window.ts'
import type { Nack, Source } from './delivery.ts'
import type { Partition } from './partition.ts'
import type { ParkedStream, Store } from './store.ts'

/** Events of a stream that are fetched at once. */
const CHUNK = 100

interface Sized {
  readonly event: RecordedEvent
  readonly bytes: number
}

/** How one replayed event ended. `written`: its progress is in the store already. */
type Outcome = 'done' | 'written' | 'again' | 'aside'

/**
 * Streams that were set aside and are put back: their events go out again one after the other, and what is next is
 * written behind each, so that a takeover goes on there.
 *
 * Only what lies below the partition's checkpoint is replayed: above it, a takeover would find the events once more. In
 * the end the stream's new events wait while its row is deleted, and then follow.
 */
export class Replay implements Source {
  readonly partition: Partition
  readonly isReplay = true
  readonly #store: Store
  readonly #settled = new Condition()
  #out: Entry | undefined
  #busy = false
  #outcome: Outcome | undefined
  #settle: ((error?: unknown) => void)[] = []
  #running = false
  #forget = () => {}

  constructor(partition: Partition, store: Store) {
    this.partition = partition
    this.#store = store
    partition.signal.addEventListener('abort', () => {
      this.#forget()
      if (this.#out?.state === 'queued') this.#out.turn++ // taken back
      this.#settled.fire()
    })
  }

  /** The consumer has one of these, and a drain has to wait for it. */
  get busy(): boolean {
    return this.#busy
  }

  /** What the consumer has of it, and has not parked. */
  get oldest(): Entry | undefined {
    return this.#out?.state === 'out' && this.#out.turn === 0 ? this.#out : undefined
  }

  /** What the consumer has of it, and is not parking, comes again: to the next owner. */
  takeBack(): void {
    const out = this.#out
    if (out && out.turn === 0 && out.state !== 'acked') this.#end(out, 'again')
  }

  /** Some stream may be due. */
  wake(): void {
    if (this.#running || this.partition.signal.aborted) return
    this.#forget()
    this.#running = true
    this.#run()
      .catch((error) => {
        for (const settle of this.#settle.splice(0)) settle(error)
        if (!this.partition.signal.aborted) this.partition.lose(error)
      })
      .finally(() => {
        this.#running = false
        this.#out = undefined
        this.#idle()
        this.#later()
      })
  }

  /** Look again when the next one is due. */
  #later(): void {
    const waiting = [...this.partition.asides.values()].filter(({ replaying }) => replaying)
    if (waiting.length === 0 || this.partition.signal.aborted) return
    const due = Math.min(...waiting.map(({ due }) => due))
    const { clock } = this.#store
    this.#forget = clock.after(Math.max(due - clock.now(), 0) + 1, () => this.wake())
  }

  async #run(): Promise<void> {
    for (;;) {
      const due = [...this.partition.asides.values()]
        .filter(({ replaying, due }) => replaying && due <= this.#store.clock.now())
        .sort((a, b) => a.position - b.position)
      if (due.length === 0 || this.partition.signal.aborted) return
      for (const aside of due) await this.#stream(aside)
    }
  }

  async #stream(aside: ParkedStream): Promise<void> {
    const { partition } = this
    for (;;) {
      partition.signal.throwIfAborted()
      const until = partition.durable
      const { budget } = this.#store
      const chunk = await budget.page((maxBytes) =>
        this.#persist(() => this.#store.replayed(aside, until, CHUNK, maxBytes)),
      )
      const isEmpty = chunk.length === 0
      if (!(await this.#chunk(aside, chunk))) return
      if (!isEmpty) continue
      if (aside.skipped <= until) break
      // Some were passed over that no checkpoint covers yet.
      partition.touch() // nothing else may be acked that has one written
      if (partition.durable <= until) await partition.checkpointed.next()
    }
    const resume = partition.pause()
    await this.#move(aside, null)
    partition.asides.delete(streamKey(aside))
    resume()
    const { category, streamId } = aside
    this.#store.logger.info(
      { category, streamId },
      'a stream that was set aside is replayed, and flows again',
    )
  }

  /** Hand these events out, one after the other. False: the stream is to wait, or stays set aside. */
  async #chunk(aside: ParkedStream, chunk: Sized[]): Promise<boolean> {
    const { budget } = this.#store
    let bytes = chunk.reduce((sum, one) => sum + one.bytes, 0)
    budget.add(bytes)
    try {
      for (let one = chunk.shift(); one; one = chunk.shift()) {
        const { event } = one
        const outcome = await this.#one(one, aside.attempts + 1)
        if (outcome === 'done') await this.#move(aside, event.position + 1)
        if (outcome === 'done' || outcome === 'written') {
          aside.position = event.position + 1
          aside.attempts = 0
        }
        for (const settle of this.#settle.splice(0)) settle()
        this.#idle()
        budget.add(-one.bytes)
        bytes -= one.bytes
        if (outcome === 'again' || outcome === 'aside') return false
      }
      return true
    } finally {
      budget.add(-bytes)
    }
  }

  /** Hand one event out, and wait for what becomes of it. */
  async #one({ event, bytes }: Sized, attempt: number): Promise<Outcome> {
    const { partition } = this
    while (!(await partition.ours())) partition.signal.throwIfAborted()
    this.#outcome = undefined
    this.#settle = []
    this.#out = { event, bytes, position: event.position, state: 'queued', attempt, turn: 0, since: 0 }
    partition.handOut(this, this.#out)
    while (this.#outcome === undefined) {
      const settled = this.#settled.next()
      if (partition.signal.aborted && this.#out.state !== 'out') partition.signal.throwIfAborted()
      partition.throwIfLost()
      await settled
    }
    return this.#outcome
  }

  async #move(aside: ParkedStream, position: number | null): Promise<void> {
    if (await this.#persist(() => this.#store.moveAside(this.partition, aside, position))) return
    this.partition.lose()
    this.partition.throwIfLost()
  }

  #persist<T>(action: () => Promise<T>): Promise<T> {
    return retryForever(action, this.#store)
  }

  /** The consumer has nothing of ours, and what it had is written. */
  #idle(): void {
    if (!this.#busy) return
    this.#busy = false
    this.partition.touch()
  }

  #end(entry: Entry, outcome: Outcome): void {
    entry.state = 'acked'
    entry.turn++
    this.#outcome = outcome
    this.#settled.fire()
  }

  begin(entry: Entry): void {
    this.#busy = true
    entry.state = 'out'
    entry.since = this.#store.clock.now()
    this.partition.touch()
  }

  done(entry: Entry): void {
    this.#end(entry, 'done')
  }

  ack(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle.push((error) => (error === undefined ? resolve() : reject(error)))
      this.#end(entry, 'done')
    })
  }

  nack(entry: Entry, { delayMs = 0, counts = true }: Nack): void {
    const aside = this.partition.asides.get(streamKey(entry.event))!
    if (counts) aside.attempts = entry.attempt
    aside.due = this.#store.clock.now() + delayMs
    this.#end(entry, 'again')
  }

  async park(entry: Entry, error: unknown): Promise<void> {
    const { event, attempt } = entry
    entry.turn++
    try {
      const ours = await this.#persist(() => this.#store.park(this.partition, event, attempt, error, false))
      if (!ours) this.partition.lose()
    } catch (cause) {
      this.partition.lose(cause)
    }
    this.partition.throwIfLost()
    this.writtenAside(entry, null)
  }

  write(client: pg.ClientBase, entry: Entry): Promise<boolean> {
    const aside = this.partition.asides.get(streamKey(entry.event))!
    return this.#store.moveAside(this.partition, aside, entry.position + 1, client)
  }

  written([entry]: readonly Entry[]): void {
    this.#end(entry!, 'written')
  }

  writeAside(client: pg.ClientBase, { event, attempt }: Entry, error: unknown, replaying: boolean) {
    return this.#store.park(this.partition, event, attempt, error, replaying, client)
  }

  writtenAside(entry: Entry, retryInMs: number | null): void {
    if (retryInMs === null) this.partition.telemetry?.parked(entry.event)
    const aside = this.partition.asides.get(streamKey(entry.event))!
    aside.attempts = entry.attempt
    aside.replaying = retryInMs !== null
    aside.due = this.#store.clock.now() + (retryInMs ?? 0)
    this.#end(entry, retryInMs === null ? 'aside' : 'again')
  }
}
