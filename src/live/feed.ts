import { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'

/**
 * Reads pages one after the other, each when its consumer asks for it.
 *
 * It reads one page ahead while the consumer works on the last one, if more events are known to exist and the budget has
 * room. At the live end it reads nothing ahead, so that a new event reaches a waiting consumer at once.
 */
export class Feed {
  readonly #read: (after: number, signal: AbortSignal) => Promise<Page>
  readonly #hasMore: (after: number) => boolean
  readonly #budget: Budget
  readonly #closing = new AbortController()
  #after: number
  #next: Promise<Page> | undefined
  #consumedBytes = 0 // bytes of the page that the consumer works on
  #aheadBytes = 0 // bytes of the page that was read ahead

  /** `hasMore` tells whether events above a position are known to exist. */
  constructor(
    read: (after: number, signal: AbortSignal) => Promise<Page>,
    after: number,
    hasMore: (after: number) => boolean,
    budget = new Budget(),
  ) {
    this.#read = read
    this.#hasMore = hasMore
    this.#after = after
    this.#budget = budget
    this.#next = this.#start()
  }

  /** The next page; waits until there is one. It rejects when the feed is closed and the page that was read ahead is taken. */
  async next(): Promise<Page> {
    this.#budget.add(-this.#consumedBytes)
    this.#consumedBytes = 0
    this.#next ??= this.#start()
    const page = await this.#next
    this.#after = page.position
    this.#consumedBytes = this.#aheadBytes
    this.#aheadBytes = 0
    this.#next = this.#hasMore(page.position) && !this.#budget.isFull ? this.#start() : undefined
    return page
  }

  /** Reads under way reject with `reason`. */
  close(reason?: unknown): void {
    this.#closing.abort(reason)
    this.#budget.add(-this.#consumedBytes - this.#aheadBytes)
    this.#consumedBytes = this.#aheadBytes = 0
  }

  #start(): Promise<Page> {
    const page = this.#read(this.#after, this.#closing.signal)
    page.then(
      ({ bytes }) => {
        if (this.#closing.signal.aborted) return
        this.#aheadBytes = bytes
        this.#budget.add(bytes)
      },
      () => {}, // next() throws this error
    )
    return page
  }
}
