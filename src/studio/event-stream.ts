// Server-sent events to one page.
import type { ServerResponse } from 'node:http'
import { now } from '../core/clock.ts'

/** A page that takes nothing for this long counts as gone. */
const DEAD_MS = 60_000

/**
 * Sends events to one page. For a slow page, only the latest message of each kind waits, so the memory is bounded: a message
 * replaces an older one of its kind, or (the tail) is made only when there is room.
 */
export class EventStream {
  readonly #response: ServerResponse
  readonly #waiting = new Map<string, string>()
  #busySince: number | undefined

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('drain', () => {
      this.#busySince = undefined
      this.#flush()
    })
  }

  /** Whether the page has not yet taken what was sent. */
  get busy(): boolean {
    return this.#busySince !== undefined
  }

  get dead(): boolean {
    return this.#busySince !== undefined && now() - this.#busySince > DEAD_MS
  }

  /** `json` must not contain a line break; JSON.stringify makes none. */
  send(kind: string, json: string): void {
    this.#waiting.set(kind, json)
    this.#flush()
  }

  end(): void {
    this.#response.destroy()
  }

  #flush(): void {
    for (const [kind, json] of this.#waiting) {
      if (this.busy) return
      this.#waiting.delete(kind)
      if (!this.#response.write(`event: ${kind}\ndata: ${json}\n\n`)) this.#busySince = now()
    }
  }
}
