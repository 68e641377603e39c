import type { Page } from '../read/page.ts'

/**
 * Pages one after the other. Pulled, so bounded: where more is known to be there, the next one is on its way while the last
 * is consumed. At the end nothing comes between an event and its consumer, and nothing is read before he asks for more.
 */
export class Feed {
  readonly #read: (after: number, signal: AbortSignal) => Promise<Page>
  readonly #more: (after: number) => boolean
  readonly #closing = new AbortController()
  #after: number
  #next: Promise<Page> | undefined

  /** `more`: whether it is known that there is something above a position. */
  constructor(
    read: (after: number, signal: AbortSignal) => Promise<Page>,
    after: number,
    more: (after: number) => boolean,
  ) {
    this.#read = read
    this.#more = more
    this.#after = after
    this.#next = this.#start()
  }

  /** The next page; waits for one where there is none yet. Rejects once the feed is closed and what was read ahead is taken. */
  async next(): Promise<Page> {
    this.#next ??= this.#start()
    const page = await this.#next
    this.#after = page.position
    this.#next = this.#more(page.position) ? this.#start() : undefined
    return page
  }

  /** `reason`: what those who wait are told. */
  close(reason?: unknown): void {
    this.#closing.abort(reason)
  }

  #start(): Promise<Page> {
    const page = this.#read(this.#after, this.#closing.signal)
    page.catch(() => {}) // heard by whoever calls next()
    return page
  }
}
