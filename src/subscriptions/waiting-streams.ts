import type { Entry } from './ack-window.ts'

/** A stream whose events wait: one of them was nacked, or is being set aside. */
export interface WaitingStream {
  entries: Entry[]
  /** Ends the pause of a nack. */
  forget?: (() => void) | undefined
  /** Parks under way. */
  parking: number
}

/** The streams of a partition whose events wait. */
export class WaitingStreams {
  readonly #holds = new Map<string, WaitingStream>()

  get empty(): boolean {
    return this.#holds.size === 0
  }

  get(key: string): WaitingStream | undefined {
    return this.#holds.get(key)
  }

  /** All later events of the stream wait, with these and those that wait already. */
  hold(key: string, entries: readonly Entry[]): WaitingStream {
    const hold: WaitingStream = this.#holds.get(key) ?? { entries: [], parking: 0 }
    hold.forget?.()
    hold.forget = undefined
    hold.entries = [...new Set([...hold.entries, ...entries])].sort((a, b) => a.position - b.position)
    this.#holds.set(key, hold)
    return hold
  }

  delete(key: string): void {
    this.#holds.delete(key)
  }

  /** What waits at or behind a position waits no longer: returns it. */
  cut(key: string, position: number): Entry[] {
    const hold = this.#holds.get(key)
    if (!hold) return []
    const behind = hold.entries.filter((entry) => entry.position >= position)
    hold.entries = hold.entries.filter((entry) => entry.position < position)
    return behind
  }

  /** No pause ends any more. */
  stop(): void {
    for (const { forget } of this.#holds.values()) forget?.()
  }
}
