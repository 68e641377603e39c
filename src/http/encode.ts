// Events as JSON texts and as frames of an event stream. What many connections get is encoded once.
import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'

/**
 * The limits of a frame, in events and, unless it is a single event, in characters. With small frames, a slow connection makes
 * progress.
 */
const FRAME_EVENTS = 500
const FRAME_CHARACTERS = 65_536

/** A part of a page, as one message with its offset. */
export interface Frame {
  readonly bytes: Uint8Array
  /** The index of the first event after it. */
  readonly next: number
}

interface Made extends Frame {
  readonly events: readonly RecordedEvent[]
  readonly control: string
}

export class Encoder {
  readonly #map: ((event: RecordedEvent) => unknown) | undefined
  readonly #texts = new WeakMap<RecordedEvent, string | null>()
  readonly #frames = new WeakMap<RecordedEvent, Made>()
  readonly #utf8 = new TextEncoder()

  constructor(map: ((event: RecordedEvent) => unknown) | undefined) {
    this.#map = map
  }

  /** The JSON text of an event; null if `map` leaves it out. */
  text(event: RecordedEvent): string | null {
    let text = this.#texts.get(event)
    if (text === undefined) {
      const value = this.#map ? this.#map(event) : event
      text = value === undefined ? null : jsonText(value)
      if (text === '') throw new TypeError(`map made ${typeof value}, which is not JSON`)
      this.#texts.set(event, text)
    }
    return text
  }

  /** The events as a JSON array. */
  array(events: readonly RecordedEvent[]): string {
    return `[${events
      .map((event) => this.text(event))
      .filter((text) => text !== null)
      .join(',')}]`
  }

  /** The frame that begins with the event at `from`. `control` makes the message that follows it, given the next index. */
  frame(events: readonly RecordedEvent[], from: number, control: (next: number) => string): Frame {
    const first = events[from]!
    const made = this.#frames.get(first)
    if (made && made.events === events && made.control === control(made.next)) return made
    const texts: string[] = []
    let characters = 0
    let next = from
    while (next < events.length && next - from < FRAME_EVENTS && characters < FRAME_CHARACTERS) {
      const text = this.text(events[next++]!)
      if (text === null) continue
      texts.push(text)
      characters += text.length
    }
    const data = texts.length === 0 ? '' : `event: data\ndata:[${texts.join(',')}]\n\n`
    const last = control(next)
    const frame = { bytes: this.#utf8.encode(data + last), next, events, control: last }
    this.#frames.set(first, frame)
    return frame
  }

  bytes(text: string): Uint8Array {
    return this.#utf8.encode(text)
  }
}
