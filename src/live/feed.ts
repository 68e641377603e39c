import { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'

/**
 * Pages one after the other. Pulled, so bounded: where more is known to be there, and the budget has room for it, the next one
 * is on its way while the last is consumed. At the end nothing comes between an event and its consumer, and nothing is read
 * before he asks for more.
 */
export class Feed {
  readonly #read: (after: number, signal: AbortSignal) => Promise<Page>
  readonly #more: (after: number) => boolean
  readonly #budget: Budget
  readonly #closing = new AbortController()
  #after: number
  #next: Promise<Page> | undefined
  #consumed = 0 // bytes of the page that the consumer has
  #ahead = 0 // bytes of the page that was read ahead for it

  /** `more`: whether it is known that there is something above a position. */
  constructor(
    read: (after: number, signal: AbortSignal) => Promise<Page>,
    after: number,
    more: (after: number) => boolean,
    budget = new Budget(),
  ) {
    this.#read = read
    this.#more = more
    this.#after = after
    this.#budget = budget
    this.#next = this.#start()
  }

  /** The next page; waits for one where there is none yet. Rejects once the feed is closed and what was read ahead is taken. */
  async next(): Promise<Page> {
    this.#budget.add(-this.#consumed)
    this.#consumed = 0
    this.#next ??= this.#start()
    const page = await this.#next
    this.#after = page.position
    this.#consumed = this.#ahead
    this.#ahead = 0
    this.#next = this.#more(page.position) && !this.#budget.isFull ? this.#start() : undefined
    return page
  }

  /** `reason`: what those who wait are told. */
  close(reason?: unknown): void {
    this.#closing.abort(reason)
    this.#budget.add(-this.#consumed - this.#ahead)
    this.#consumed = this.#ahead = 0
  }

  #start(): Promise<Page> {
    const page = this.#read(this.#after, this.#closing.signal)
    page.then(
      ({ bytes }) => {
        if (this.#closing.signal.aborted) return
        this.#ahead = bytes
        this.#budget.add(bytes)
      },
      () => {}, // heard by whoever calls next()
    )
    return page
  }
}
