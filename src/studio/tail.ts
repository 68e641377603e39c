// The tail of the whole store, for all pages.
import { abortable, abortWith } from '../core/abort.ts'
import { sleep } from '../core/clock.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import type { TailEvent } from './show.ts'
import { preview } from './show.ts'

/** How many older events are shown to the first page. */
const RECENT = 100
/** If the tail is this many positions behind, it jumps to the end. */
const FAR = 50_000
const RETRY_MS = 2_000

export interface TailObserver {
  /** An event. `old`: it was appended before the tail started. */
  heard(event: TailEvent, old: boolean): void
  /** This many positions were not read. */
  skipped(positions: number): void
  failed(error: unknown): void
}

/** Reads the live end of the whole store as fast as possible. If that is too slow, it jumps to the end. */
export class Tail {
  readonly #meow: Meow
  readonly #observer: TailObserver
  readonly #recent: TailEvent[] = []
  #position = 0 // of the last event
  #jump: AbortController | undefined

  constructor(meow: Meow, observer: TailObserver) {
    this.#meow = meow
    this.#observer = observer
  }

  /** The last events, oldest first. */
  get recent(): readonly TailEvent[] {
    return this.#recent
  }

  /** Everything up to this position was read or skipped. */
  get position(): number {
    return this.#position
  }

  /** Runs until the signal aborts or the store closes. */
  async run(signal: AbortSignal): Promise<void> {
    for (let again = true; again; ) {
      try {
        again = await this.#follow(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#observer.failed(error)
        again = await sleep(RETRY_MS, signal).then(
          () => true,
          () => false,
        )
      }
    }
  }

  /** Says where the horizon is. */
  reached(horizon: number): void {
    if (this.#jump && this.#position > 0 && horizon - this.#position > FAR) this.#jump.abort()
  }

  /** Returns true if the tail has to start again at the end. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const before = this.#position
    const reading = this.#meow.read({}, { limit: RECENT, direction: 'backward' })
    const { events, horizon } = await abortable(reading, signal)
    if (before === 0) for (const event of events.reverse()) this.#hear(event, true)
    else if (horizon > before) this.#observer.skipped(horizon - before)
    this.#position = horizon
    const jump = abortWith(signal)
    this.#jump = jump
    try {
      const options = { from: { after: horizon }, signal: jump.signal }
      for await (const event of this.#meow.iterate({}, options)) this.#hear(event, false)
      return jump.signal.aborted && !signal.aborted
    } finally {
      jump.abort()
      this.#jump = undefined
    }
  }

  #hear(event: RecordedEvent, old: boolean): void {
    this.#position = event.position
    const heard = { id: event.id, ...preview(event) }
    this.#recent.push(heard)
    if (this.#recent.length > RECENT) this.#recent.shift()
    this.#observer.heard(heard, old)
  }
}
