import { ERASED } from '../events/event.ts'
import { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import { firstAbove, slicePage } from '../read/page.ts'

/** Keeps the most recent pages in memory, without a gap between them. A number of events and the budget limit its size. */
export class PageCache {
  readonly #capacity: number
  readonly #budget: Budget
  #pages: Page[] = []
  #size = 0
  #bytes = 0

  constructor(capacity: number, budget = new Budget()) {
    this.#capacity = capacity
    this.#budget = budget
  }

  /** How many bytes of events are cached. */
  get bytes(): number {
    return this.#bytes
  }

  /** The rest of the page that contains the position after `after`, if it is cached. */
  read(after: number): Page | undefined {
    const page = this.#find(after)
    if (!page || page.after === after) return page
    const { events, position } = page
    return slicePage(page, firstAbove(events, after), events.length, { after, position })
  }

  /** Cache a page. If it is newer than the last one but does not follow it directly, all older pages are dropped. */
  push(page: Page): void {
    const end = this.#pages.at(-1)?.position ?? -1
    if (page.position <= page.after || page.position <= end) return
    // A tombstone says that earlier events of its stream were erased, perhaps after the cached pages were read. This page was
    // read after the erasure.
    if (page.after !== end || page.events.some(({ type }) => type === ERASED)) this.clear()
    this.#pages.push(page)
    this.#count(page, 1)
    while (this.#size > this.#capacity && this.#pages.length > 1) this.drop()
    // Pages without events need memory too, so the number of pages is limited as well.
    while (this.#pages.length > this.#capacity) this.drop()
  }

  /** Drop the oldest page. */
  drop(): void {
    const page = this.#pages.shift()
    if (page) this.#count(page, -1)
  }

  clear(): void {
    while (this.#pages.length > 0) this.drop()
  }

  #count({ events, bytes }: Page, sign: 1 | -1): void {
    this.#size += sign * events.length
    this.#bytes += sign * bytes
    this.#budget.keep(this, sign * bytes)
  }

  /** The page that begins at `after` or contains it. A binary search, because there may be as many pages as events. */
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
