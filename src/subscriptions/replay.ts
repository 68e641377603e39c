import type pg from 'pg'
import { Condition } from '../core/condition.ts'
import { retryForever } from '../database/retry-policy.ts'
import type { RecordedEvent } from '../events/event.ts'
import { streamKey } from '../events/event.ts'
import type { Entry } from './ack-window.ts'
import type { Nack, Source } from './delivery.ts'
import type { ParkedStream } from './parked-streams.ts'
import type { Partition } from './partition.ts'
import type { Store } from './store.ts'

/** How many events of a stream are read at once. */
const PAGE_EVENTS = 100

interface Sized {
  readonly event: RecordedEvent
  readonly bytes: number
}

/** How the delivery of a replayed event ended. `written`: its progress is already in the store. */
type Outcome = 'done' | 'written' | 'again' | 'parked'

/**
 * Replays the parked streams of a partition: it delivers their events again, one at a time, and writes the progress after
 * each, so that the next owner continues there.
 *
 *     parked -> replaying: deliver the next event -> write progress -> ... -> no event left -> delete the row -> normal
 *                  |                       |
 *                  +- wait until it is due <- nack
 *
 * It only replays events below the partition's checkpoint, because the next owner would read those above it again. While its
 * row is being deleted, new events of the stream wait.
 */
export class Replay implements Source {
  readonly partition: Partition
  readonly isReplay = true
  readonly #store: Store
  readonly #settled = new Condition()
  #current: Entry | undefined
  #busy = false
  #outcome: Outcome | undefined
  #acks: ((error?: unknown) => void)[] = []
  #running = false
  #cancelWake = () => {}

  constructor(partition: Partition, store: Store) {
    this.partition = partition
    this.#store = store
    partition.lease.signal.addEventListener('abort', () => {
      this.#cancelWake()
      if (this.#current?.state === 'queued') this.#current.generation++ // it is taken back
      this.#settled.fire()
    })
  }

  /** Whether a drain must wait: the consumer has a delivery, or its progress is not written yet. */
  get busy(): boolean {
    return this.#busy
  }

  /** The delivery that the consumer has, unless it is being parked. */
  get oldest(): Entry | undefined {
    return this.#current?.state === 'out' && this.#current.generation === 0 ? this.#current : undefined
  }

  /** Take back the delivery that the consumer has, unless it is being parked. The next owner delivers it again. */
  reclaimAll(): void {
    const out = this.#current
    if (out && out.generation === 0 && out.state !== 'acked') this.#end(out, 'again')
  }

  /** Replay the streams that are due. */
  wake(): void {
    if (this.#running || this.partition.lease.signal.aborted) return
    this.#cancelWake()
    this.#running = true
    this.#run()
      .catch((error) => {
        for (const settle of this.#acks.splice(0)) settle(error)
        if (!this.partition.lease.signal.aborted) this.partition.lose(error)
      })
      .finally(() => {
        this.#running = false
        this.#current = undefined
        this.#setIdle()
        this.#wakeWhenDue()
      })
  }

  /** Set a timer for the next stream that is due. */
  #wakeWhenDue(): void {
    const waiting = [...this.partition.parked.values()].filter(({ replaying }) => replaying)
    if (waiting.length === 0 || this.partition.lease.signal.aborted) return
    const due = Math.min(...waiting.map(({ due }) => due))
    const { clock } = this.#store
    this.#cancelWake = clock.after(Math.max(due - clock.now(), 0) + 1, () => this.wake())
  }

  async #run(): Promise<void> {
    for (;;) {
      const due = [...this.partition.parked.values()]
        .filter(({ replaying, due }) => replaying && due <= this.#store.clock.now())
        .sort((a, b) => a.position - b.position)
      if (due.length === 0 || this.partition.lease.signal.aborted) return
      for (const parked of due) await this.#stream(parked)
    }
  }

  async #stream(parked: ParkedStream): Promise<void> {
    const { partition } = this
    for (;;) {
      partition.lease.signal.throwIfAborted()
      const until = partition.durable
      const { budget } = this.#store
      const page = await budget.page((maxBytes) =>
        this.#retry(() => this.#store.parked.read(parked, until, PAGE_EVENTS, maxBytes)),
      )
      const isEmpty = page.length === 0
      if (!(await this.#page(parked, page))) return
      if (!isEmpty) continue
      if (parked.skipped <= until && !(parked.discarded && parked.position > until)) break
      // Events of the stream were skipped above the checkpoint, or one there has to be. Ask for a checkpoint that covers them, and
      // wait for it.
      partition.replayChanged()
      if (partition.durable <= until) await partition.checkpointed.next()
    }
    const resume = partition.waiting.pause()
    await this.#move(parked, null)
    partition.parked.delete(streamKey(parked))
    resume()
    const { category, streamId } = parked
    this.#store.logger.info(
      { category, streamId },
      'a parked stream is replayed; its new events are delivered again',
    )
  }

  /** Deliver the events of a page, one after the other. False: the stream must wait, or is parked again. */
  async #page(parked: ParkedStream, page: Sized[]): Promise<boolean> {
    const { budget } = this.#store
    let bytes = page.reduce((sum, next) => sum + next.bytes, 0)
    budget.add(bytes)
    try {
      for (let one = page.shift(); one; one = page.shift()) {
        const { event } = one
        const isDiscarded = parked.discarded && event.position === parked.position
        const outcome = isDiscarded ? 'done' : await this.#deliver(one, parked.attempts + 1)
        if (outcome === 'done') await this.#move(parked, event.position + 1)
        if (outcome === 'done' || outcome === 'written') {
          parked.position = event.position + 1
          parked.attempts = 0
          parked.discarded = false
        }
        for (const settle of this.#acks.splice(0)) settle()
        this.#setIdle()
        budget.add(-one.bytes)
        bytes -= one.bytes
        if (outcome === 'again' || outcome === 'parked') return false
      }
      return true
    } finally {
      budget.add(-bytes)
    }
  }

  /** Deliver one event, and wait for its outcome. */
  async #deliver({ event, bytes }: Sized, attempt: number): Promise<Outcome> {
    const { partition } = this
    while (!(await partition.lease.stillOwned())) partition.lease.signal.throwIfAborted()
    this.#outcome = undefined
    this.#acks = []
    this.#current = {
      event,
      bytes,
      position: event.position,
      state: 'queued',
      attempt,
      generation: 0,
      since: 0,
    }
    partition.handOut(this, this.#current)
    while (this.#outcome === undefined) {
      const settled = this.#settled.next()
      if (partition.lease.signal.aborted && this.#current.state !== 'out')
        partition.lease.signal.throwIfAborted()
      partition.lease.throwIfLost()
      await settled
    }
    return this.#outcome
  }

  async #move(parked: ParkedStream, position: number | null): Promise<void> {
    if (await this.#retry(() => this.#store.parked.move(this.partition.lease, parked, position))) return
    this.partition.lose()
    this.partition.lease.throwIfLost()
  }

  #retry<T>(action: () => Promise<T>): Promise<T> {
    return retryForever(action, this.#store)
  }

  /** The consumer has no delivery, and the progress is written. */
  #setIdle(): void {
    if (!this.#busy) return
    this.#busy = false
    this.partition.replayChanged()
  }

  #end(entry: Entry, outcome: Outcome): void {
    entry.state = 'acked'
    entry.generation++
    this.#outcome = outcome
    this.#settled.fire()
  }

  begin(entry: Entry): void {
    this.#busy = true
    entry.state = 'out'
    entry.since = this.#store.clock.now()
    this.partition.replayChanged()
  }

  done(entry: Entry): void {
    this.#end(entry, 'done')
  }

  ack(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#acks.push((error) => (error === undefined ? resolve() : reject(error)))
      this.#end(entry, 'done')
    })
  }

  nack(entry: Entry, { delayMs = 0, counts = true }: Nack): void {
    const parked = this.partition.parked.get(streamKey(entry.event))!
    if (counts) parked.attempts = entry.attempt
    parked.due = this.#store.clock.now() + delayMs
    this.#end(entry, 'again')
  }

  async park(entry: Entry, error: unknown): Promise<void> {
    entry.generation++
    await this.partition.parking.write(entry, error, false)
    this.parkedCommitted(entry, null)
  }

  writeCheckpoint(client: pg.ClientBase, entry: Entry): Promise<boolean> {
    const parked = this.partition.parked.get(streamKey(entry.event))!
    return this.#store.parked.move(this.partition.lease, parked, entry.position + 1, client)
  }

  checkpointCommitted([entry]: readonly Entry[]): void {
    this.#end(entry!, 'written')
  }

  parkedCommitted(entry: Entry, retryInMs: number | null): void {
    if (retryInMs === null) this.partition.telemetry?.parked(entry.event)
    const parked = this.partition.parked.get(streamKey(entry.event))!
    parked.attempts = entry.attempt
    parked.replaying = retryInMs !== null
    parked.due = this.#store.clock.now() + (retryInMs ?? 0)
    this.#end(entry, retryInMs === null ? 'parked' : 'again')
  }
}
