import type { ServerResponse } from 'node:http'
import { now } from '../core/clock.ts'

/** A page that takes nothing for so long is gone. */
const DEAD_MS = 60_000

/**
 * Server-sent events to one page. Of each kind only the latest waits for a slow page, so that it can't fill the memory:
 * what is sent is the whole of something, as it stands, or (the tail) is made only once there is room.
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

  /** More than it takes just now. */
  get busy(): boolean {
    return this.#busySince !== undefined
  }

  get dead(): boolean {
    return this.#busySince !== undefined && now() - this.#busySince > DEAD_MS
  }

  /** `json` holds no line break, as what JSON.stringify makes. */
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
