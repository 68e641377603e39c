import type { Page } from '../read/page.ts'

/** Pages one after the other, the next one always on its way while the last is consumed. Pulled, so bounded. */
export class Feed {
  readonly #read: (after: number, signal: AbortSignal) => Promise<Page>
  readonly #closing = new AbortController()
  #next: Promise<Page>

  constructor(read: (after: number, signal: AbortSignal) => Promise<Page>, after: number) {
    this.#read = read
    this.#next = this.#start(after)
  }

  /** The next page; waits for one where there is none yet. Rejects once the feed is closed. */
  async next(): Promise<Page> {
    const page = await this.#next
    this.#next = this.#start(page.position)
    return page
  }

  close(): void {
    this.#closing.abort()
  }

  #start(after: number): Promise<Page> {
    const page = this.#read(after, this.#closing.signal)
    page.catch(() => {}) // heard by whoever calls next()
    return page
  }
}
