// What one open page is sent: server-sent events, as those of a feed (src/http).
import { Condition } from '../core/condition.ts'
import { ClosedError } from '../core/errors.ts'
import type { LiveSource } from '../http/live-response.ts'

const COMMENT = ':\n\n'

/**
 * Messages to one page. For a slow page, only the latest message of each kind waits, so the memory is bounded: a message
 * replaces an older one of its kind, or (the tail) is made only when the last one was taken.
 */
export class LivePage implements LiveSource {
  readonly #waiting = new Map<string, string>()
  readonly #changed = new Condition()
  readonly #utf8 = new TextEncoder()
  #ended = false
  #leave: () => void = () => {}

  /** `leave` is called once, when the page has gone. */
  set onClose(leave: () => void) {
    this.#leave = leave
  }

  /** Whether a message of this kind has not been taken yet. */
  waits(kind: string): boolean {
    return this.#waiting.has(kind)
  }

  /** `json` must not contain a line break; JSON.stringify makes none. */
  send(kind: string, json: string): void {
    this.#waiting.set(kind, json)
    this.#changed.fire()
  }

  /** All that waits. */
  async next(): Promise<Uint8Array> {
    while (this.#waiting.size === 0 && !this.#ended) await this.#changed.next()
    if (this.#ended) throw new ClosedError()
    let text = ''
    for (const [kind, json] of this.#waiting) text += `event: ${kind}\ndata: ${json}\n\n`
    this.#waiting.clear()
    return this.#utf8.encode(text)
  }

  beat(): Uint8Array {
    return this.#utf8.encode(COMMENT)
  }

  /** The response ends, and the page connects again. */
  end(): void {
    this.#ended = true
    this.#changed.fire()
  }

  close(): void {
    this.end()
    this.#leave()
  }
}
