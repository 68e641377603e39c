import type { Entry } from './ack-window.ts'

/** A stream whose events wait, because one of them was nacked or is being parked. */
export interface WaitingStream {
  entries: Entry[]
  /** Cancels the timer of a nack's pause. */
  cancelPause?: (() => void) | undefined
  /** How many of its events are being parked. */
  parksUnderWay: number
}

/** The streams of a partition whose events wait. */
export class WaitingStreams {
  readonly #streams = new Map<string, WaitingStream>()

  get empty(): boolean {
    return this.#streams.size === 0
  }

  get(key: string): WaitingStream | undefined {
    return this.#streams.get(key)
  }

  /** Let these deliveries wait, and all later events of their stream. Returns the stream with all that waits. */
  add(key: string, entries: readonly Entry[]): WaitingStream {
    const stream: WaitingStream = this.#streams.get(key) ?? { entries: [], parksUnderWay: 0 }
    stream.cancelPause?.()
    stream.cancelPause = undefined
    stream.entries = [...new Set([...stream.entries, ...entries])].sort((a, b) => a.position - b.position)
    this.#streams.set(key, stream)
    return stream
  }

  delete(key: string): void {
    this.#streams.delete(key)
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
