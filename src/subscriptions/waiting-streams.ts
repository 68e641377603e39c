import type { Entry } from './ack-window.ts'

/** A stream whose events wait: one of them was nacked, or is being set aside. */
export interface WaitingStream {
  entries: Entry[]
  /** Ends the pause of a nack. */
  cancelPause?: (() => void) | undefined
  /** Parks under way. */
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

  /** All later events of the stream wait, with these and those that wait already. */
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

  /** What waits at or behind a position waits no longer: returns it. */
  cut(key: string, position: number): Entry[] {
    const stream = this.#streams.get(key)
    if (!stream) return []
    const later = stream.entries.filter((entry) => entry.position >= position)
    stream.entries = stream.entries.filter((entry) => entry.position < position)
    return later
  }

  /** No pause ends any more. */
  stop(): void {
    for (const { cancelPause } of this.#streams.values()) cancelPause?.()
  }
}
