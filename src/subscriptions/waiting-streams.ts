import type { Clock } from '../core/clock.ts'
import type { Entry } from './ack-window.ts'
import type { Lease } from './lease.ts'

/** A stream whose events wait, because one of them was nacked or is being parked. */
export interface WaitingStream {
  entries: Entry[]
  /** Cancels the timer of a nack's pause. */
  cancelPause?: (() => void) | undefined
  /** Settles when the latest park has ended; undefined: no park is under way. */
  lastPark?: Promise<void> | undefined
}

/**
 * All that waits in a partition:
 *
 *     a delivery is nacked    -> its stream waits until the pause is over  -> admit
 *     a stream is being parked -> it waits until its last park has ended   -> admit
 *     a replay ends           -> all new events wait until its row is gone -> admit
 */
export class WaitingStreams {
  /** The new events that wait for the end of a replay; undefined: new events need not wait. */
  paused: Entry[] | undefined
  /** How many parks are under way. */
  parksUnderWay = 0
  readonly #streams = new Map<string, WaitingStream>()
  readonly #lease: Lease
  readonly #clock: Clock
  readonly #admit: (entry: Entry) => void

  /** `admit` is called with each delivery that need not wait any more. */
  constructor(lease: Lease, clock: Clock, admit: (entry: Entry) => void) {
    this.#lease = lease
    this.#clock = clock
    this.#admit = admit
  }

  get empty(): boolean {
    return this.#streams.size === 0
  }

  get(key: string): WaitingStream | undefined {
    return this.#streams.get(key)
  }

  /** Let these deliveries wait, and all later events of their stream. */
  add(key: string, entries: readonly Entry[]): WaitingStream {
    const stream: WaitingStream = this.#streams.get(key) ?? { entries: [] }
    stream.cancelPause?.()
    stream.cancelPause = undefined
    stream.entries = [...new Set([...stream.entries, ...entries])].sort((a, b) => a.position - b.position)
    this.#streams.set(key, stream)
    return stream
  }

  /** Let these deliveries wait for `ms`. */
  addFor(ms: number, key: string, entries: readonly Entry[]): void {
    const stream = this.add(key, entries)
    stream.cancelPause = this.#clock.after(ms, () => {
      stream.cancelPause = undefined
      this.resume(key)
    })
  }

  /** Let these deliveries wait while `park` runs. Parks of a stream run one after the other, because the earlier one counts. */
  async addWhile(park: () => Promise<void>, key: string, entries: readonly Entry[]): Promise<void> {
    const stream = this.add(key, entries)
    const turn = (stream.lastPark ?? Promise.resolve()).then(park)
    const ended = turn.catch(() => {})
    stream.lastPark = ended
    this.parksUnderWay++
    try {
      await turn
    } finally {
      this.parksUnderWay--
      if (stream.lastPark === ended) stream.lastPark = undefined
      if (!stream.cancelPause) this.resume(key)
    }
  }

  /** Let all new events wait until the returned function is called. */
  pause(): () => void {
    const paused: Entry[] = []
    this.paused = paused
    return () => {
      this.paused = undefined
      this.#admitAll(paused)
    }
  }

  /** The stream need not wait any more, unless it is being parked. */
  resume(key: string): void {
    const stream = this.#streams.get(key)
    if (!stream || stream.lastPark) return
    if (!this.#lease.valid) {
      this.#lease.stillOwned().then((owned) => owned && !stream.cancelPause && this.resume(key))
      return
    }
    this.#streams.delete(key)
    this.#admitAll(stream.entries)
  }

  /** Delivers them in order, except those that the consumer takes back meanwhile. */
  #admitAll(entries: readonly Entry[]): void {
    const turns = entries.map(({ generation }) => generation)
    entries.forEach((entry, i) => {
      if (entry.state === 'waiting' && entry.generation === turns[i]) this.#admit(entry)
    })
  }

  /** Remove the deliveries of a stream from a position on, and return them. */
  cut(key: string, position: number): Entry[] {
    const stream = this.#streams.get(key)
    if (!stream) return []
    const later = stream.entries.filter((entry) => entry.position >= position)
    stream.entries = stream.entries.filter((entry) => entry.position < position)
    return later
  }

  /** Cancel all pauses. */
  stop(): void {
    for (const { cancelPause } of this.#streams.values()) cancelPause?.()
  }
}
