import { ERASED } from '../event.ts'
import type { Page } from '../read/page.ts'
import { firstAbove } from '../read/page.ts'

/** The most recent pages, one following the other without a gap; bounded by a number of events. */
export class Ring {
  readonly #capacity: number
  #pages: Page[] = []
  #size = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** What follows `after`, if it is kept: at least a step, at most a page. */
  read(after: number): Page | undefined {
    const page = this.#find(after)
    if (!page || page.after === after) return page
    const first = firstAbove(page.events, after)
    const { position } = page
    return { events: page.events.slice(first), hashes: page.hashes.slice(first), after, position }
  }

  /** Keep a page. One that does not follow the last is kept only if it is newer, and then alone. */
  push(page: Page): void {
    const end = this.#pages.at(-1)?.position ?? -1
    if (page.position <= page.after || page.position <= end) return
    // A tombstone, and what came before it may have been emptied since it was read; this page was read behind it.
    if (page.after !== end || page.events.some(({ type }) => type === ERASED)) {
      this.#pages = []
      this.#size = 0
    }
    this.#pages.push(page)
    this.#size += page.events.length
    while (this.#size > this.#capacity && this.#pages.length > 1)
      this.#size -= this.#pages.shift()!.events.length
    // Pages without events only carry the position on: they cost memory and no events, so they are counted too.
    while (this.#pages.length > this.#capacity) this.#size -= this.#pages.shift()!.events.length
  }

  /** The page that goes on from `after`, or holds it: by halves, for there may be as many pages as events. */
  #find(after: number): Page | undefined {
    const pages = this.#pages
    let low = 0
    let high = pages.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (pages[middle]!.position <= after) low = middle + 1
      else high = middle
    }
    const page = pages[low]
    return page && page.after <= after ? page : undefined
  }
}
