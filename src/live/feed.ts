import type { Page } from '../read/page.ts'

/**
 * Pages one after the other. Pulled, so bounded: where more is known to be there, the next one is on its way while the last
 * is consumed; at the end nothing comes between an event and its consumer.
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

  /** The next page; waits for one where there is none yet. Rejects once the feed is closed. */
  async next(): Promise<Page> {
    this.#next ??= this.#start()
    const page = await this.#next
    this.#after = page.position
    this.#next = this.#more(page.position) ? this.#start() : undefined
    return page
  }

  close(): void {
    this.#closing.abort()
  }

  #start(): Promise<Page> {
    const page = this.#read(this.#after, this.#closing.signal)
    page.catch(() => {}) // heard by whoever calls next()
    return page
  }
}
