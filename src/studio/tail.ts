import { abortable, abortWith } from '../core/abort.ts'
import { sleep } from '../core/clock.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import type { Heard } from './show.ts'
import { preview } from './show.ts'

/** Events from before somebody looked. */
const RECENT = 100
/** Positions behind which one does not read on, but goes to the end. */
const FAR = 50_000
const RETRY_MS = 2_000

export interface TailEars {
  /** An event; `old`: from before the tail began. */
  heard(event: Heard, old: boolean): void
  /** So many positions were not read. */
  skipped(positions: number): void
  failed(error: unknown): void
}

/** The live end of the whole store, pulled, as fast as it can be read; where that is too slow it jumps to the end. */
export class Tail {
  readonly #meow: Meow
  readonly #ears: TailEars
  readonly #recent: Heard[] = []
  #position = 0 // of the last event
  #jump: AbortController | undefined

  constructor(meow: Meow, ears: TailEars) {
    this.#meow = meow
    this.#ears = ears
  }

  /** The last events, oldest first. */
  get recent(): readonly Heard[] {
    return this.#recent
  }

  /** All up to here has been heard. */
  get position(): number {
    return this.#position
  }

  /** Until the signal aborts or the store closes. */
  async run(signal: AbortSignal): Promise<void> {
    for (let again = true; again; ) {
      try {
        again = await this.#follow(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#ears.failed(error)
        again = await sleep(RETRY_MS, signal).then(
          () => true,
          () => false,
        )
      }
    }
  }

  /** The horizon is there. */
  reached(horizon: number): void {
    if (this.#jump && this.#position > 0 && horizon - this.#position > FAR) this.#jump.abort()
  }

  /** True: from the end again. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const before = this.#position
    const reading = this.#meow.read({}, { limit: RECENT, direction: 'backward' })
    const { events, horizon } = await abortable(reading, signal)
    if (before === 0) for (const event of events.reverse()) this.#hear(event, true)
    else if (horizon > before) this.#ears.skipped(horizon - before)
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
    this.#ears.heard(heard, old)
  }
}
