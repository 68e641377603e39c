// The state of a subscription in memory: its checkpoint, its unacked events, and its parked events.
import { Condition } from '../../core/condition.ts'
import { errorToStore } from '../../core/error-to-store.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { streamKey } from '../../events/event.ts'
import type { Selection } from '../../events/selector.ts'
import type { ParkedEvent } from '../../subscriptions/admin/parked.ts'
import type { MemoryLog } from '../log.ts'
import type { MemoryTime, Waiting } from './time.ts'

/** An event that is read and not yet handled. */
export interface Item {
  readonly event: RecordedEvent
  attempts: number
  /** It waits for this time, in ms since 1970. */
  readyAt: number
  isTaken: boolean
  /** It was parked, so the checkpoint has passed it. */
  readonly isReplayed: boolean
}

/** Takes events when there may be some. */
interface Taker {
  pump(): void
}

/** How many events it reads ahead. */
const WINDOW = 1_000

/** A subscription. All its workers take events from here. */
export class Consumer implements Waiting {
  readonly name: string
  readonly selection: Selection
  readonly partitions: number
  readonly workers = new Set<Taker>()
  readonly changed = new Condition()
  readonly #log: MemoryLog
  readonly #time: MemoryTime
  /** The events up to here were read. */
  #read: number
  #items: Item[] = []
  /** The events of each parked stream, in the order in which the streams were parked. */
  readonly #parked = new Map<string, ParkedEvent[]>()

  constructor(
    about: { name: string; selection: Selection; partitions: number; after: number },
    log: MemoryLog,
    time: MemoryTime,
  ) {
    this.name = about.name
    this.selection = about.selection
    this.partitions = about.partitions
    this.#read = about.after
    this.#log = log
    this.#time = time
  }

  /** All events up to this position are handled or parked. */
  get position(): number {
    const first = this.#items.find(({ isReplayed }) => !isReplayed)
    return first ? first.event.position - 1 : this.#read
  }

  /** How many events it still has to handle. */
  get lag(): number {
    const rest = this.#log.select(this.selection, this.#read, this.#log.head, Infinity, 'first')
    return this.#items.length + rest.length
  }

  get parked(): ParkedEvent[] {
    return [...this.#parked.values()].flat()
  }

  /** Events that a worker may begin now, at most `limit`: no earlier event of their streams is under way or waits. */
  take(limit: number): Item[] {
    this.#fill()
    const now = this.#time.now()
    const blocked = new Set<string>()
    const taken: Item[] = []
    for (const item of this.#items) {
      const key = streamKey(item.event)
      if (blocked.has(key)) continue
      if (item.isTaken || item.readyAt > now) {
        blocked.add(key)
        continue
      }
      // What has failed before is tried alone.
      if (item.attempts > 0 && taken.length > 0) break
      taken.push(item)
      if (taken.length >= limit || item.attempts > 0) break
    }
    for (const item of taken) item.isTaken = true
    return taken
  }

  handled(items: readonly Item[]): void {
    const gone = new Set(items)
    this.#items = this.#items.filter((item) => !gone.has(item))
    this.changed.fire()
  }

  /** Parks the stream from this event on. */
  park(item: Item, error: unknown): void {
    const key = streamKey(item.event)
    const behind = this.#items.filter(({ event }) => streamKey(event) === key)
    const parked = behind.map(({ event }) =>
      event === item.event
        ? this.#parkedEvent(event, item.attempts, errorToStore(error) || null)
        : this.#parkedEvent(event, 0, null),
    )
    this.#parked.set(key, parked)
    this.handled(behind)
  }

  /** Returns how many events come again. */
  replay(streamId: string | undefined): number {
    const streams = [...this.#parked].filter(([, [first]]) => !streamId || first!.event.streamId === streamId)
    for (const [key] of streams) this.#parked.delete(key)
    const again = streams.flatMap(([, parked]) => parked)
    for (const { event } of again)
      this.#items.push({ event, attempts: 0, readyAt: 0, isTaken: false, isReplayed: true })
    this.#items.sort((a, b) => a.event.position - b.event.position)
    this.#time.wake()
    return again.length
  }

  /** When the first event that waits for its next attempt can have it. */
  next(): number | undefined {
    if (this.workers.size === 0) return undefined
    const blocked = new Set<string>()
    let first: number | undefined
    for (const { event, isTaken, readyAt } of this.#items) {
      const key = streamKey(event)
      if (blocked.has(key)) continue
      blocked.add(key)
      if (!isTaken && readyAt > 0 && readyAt < (first ?? Infinity)) first = readyAt
    }
    return first
  }

  fire(): void {
    for (const worker of [...this.workers]) worker.pump()
    this.changed.fire()
  }

  /** Reads on, if there is room. */
  #fill(): void {
    const { head } = this.#log
    while (this.#read < head && this.#items.length < WINDOW) {
      const room = WINDOW - this.#items.length
      const events = this.#log.select(this.selection, this.#read, head, room, 'first')
      this.#read = events.length === room ? events.at(-1)!.position : head
      for (const event of events) {
        const parked = this.#parked.get(streamKey(event))
        if (parked) parked.push(this.#parkedEvent(event, 0, null))
        else this.#items.push({ event, attempts: 0, readyAt: 0, isTaken: false, isReplayed: false })
      }
    }
  }

  #parkedEvent(event: RecordedEvent, attempts: number, error: string | null): ParkedEvent {
    return { event, attempts, error, parkedAt: new Date(this.#time.now()) }
  }
}
