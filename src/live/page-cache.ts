import { ERASED } from '../events/event.ts'
import { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import { firstAbove, slicePage } from '../read/page.ts'

/** The most recent pages, one following the other without a gap; bounded by a number of events, and by the budget. */
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

  /** How many bytes of events it keeps. */
  get bytes(): number {
    return this.#bytes
  }

  /** What follows `after`, if it is kept: at least a step, at most a page. */
  read(after: number): Page | undefined {
    const page = this.#find(after)
    if (!page || page.after === after) return page
    const { events, position } = page
    return slicePage(page, firstAbove(events, after), events.length, { after, position })
  }

  /** Keep a page. One that does not follow the last is kept only if it is newer, and then alone. */
  push(page: Page): void {
    const end = this.#pages.at(-1)?.position ?? -1
    if (page.position <= page.after || page.position <= end) return
    // A tombstone, and what came before it may have been emptied since it was read; this page was read behind it.
    if (page.after !== end || page.events.some(({ type }) => type === ERASED)) this.clear()
    this.#pages.push(page)
    this.#count(page, 1)
    while (this.#size > this.#capacity && this.#pages.length > 1) this.drop()
    // Pages without events only carry the position on: they cost memory and no events, so they are counted too.
    while (this.#pages.length > this.#capacity) this.drop()
  }

  /** Let go of the oldest page. */
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
