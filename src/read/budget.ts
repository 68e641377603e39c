/** Limits the size of a page: reads it with the number of bytes that it may have. */
export interface PageBound {
  page<T>(read: (maxBytes: number) => Promise<T>): Promise<T>
}

/** A bound that is always the same. */
export const pagesOf = (maxBytes: number): PageBound => ({ page: (read) => read(Math.floor(maxBytes)) })

/** A page has at most one fourth of the budget. */
export const PAGE_SHARE = 4
/** Pages that were handed on are kept for others in at most this part of the whole. */
const KEPT_SHARE = 2
/** However full the budget is, each consumer may have a page of this part of the whole, and deliveries of the same size. */
const LEAST_SHARE = 128

/** Keeps pages that can be read again. */
export interface Keeper {
  /** How many bytes it keeps. */
  readonly bytes: number
  /** Drops the oldest page. */
  drop(): void
}

/**
 * How many bytes of events one store object holds in this process: the pages that consumers have, those that are read ahead
 * for them, deliveries that are not acked, and the pages that are kept for observers that are nearly up to date.
 *
 * Nobody waits for bytes to become free, so that nothing can deadlock. Instead, as the budget fills up, pages get smaller,
 * nothing is read ahead, and fewer deliveries are in flight. Each consumer may always have one page, and one delivery.
 */
export class Budget implements PageBound {
  readonly #max: number
  readonly #keepers = new Set<Keeper>()
  #used = 0
  #kept = 0

  constructor(maxBytes = Number.MAX_SAFE_INTEGER) {
    this.#max = maxBytes
  }

  get used(): number {
    return this.#used
  }

  /** If true, nothing may be prefetched. */
  get isFull(): boolean {
    return this.#used >= this.#max
  }

  /** Adds to the number of bytes that are held, or subtracts if negative. */
  add(bytes: number): void {
    this.#used += bytes
  }

  /** Reads a page of as many bytes as there is room for. All of them count as used until it has arrived. */
  async page<T>(read: (maxBytes: number) => Promise<T>): Promise<T> {
    const room = (this.#max - this.#used) / PAGE_SHARE
    const maxBytes = Math.floor(Math.max(this.#max / LEAST_SHARE, room))
    this.#used += maxBytes
    try {
      return await read(maxBytes)
    } finally {
      this.#used -= maxBytes
    }
  }

  /** Whether a consumer that has `inFlight` bytes of deliveries may get another one of this size. */
  allows(inFlight: number, bytes: number): boolean {
    const wanted = inFlight + bytes
    if (inFlight === 0 || wanted <= this.#max / LEAST_SHARE) return true
    return wanted <= this.#max / PAGE_SHARE && this.#used + bytes <= this.#max
  }

  /** A keeper keeps this many bytes more, or fewer. If all keepers together have too much, the largest ones drop pages. */
  keep(keeper: Keeper, bytes: number): void {
    this.#used += bytes
    this.#kept += bytes
    if (keeper.bytes > 0) this.#keepers.add(keeper)
    else this.#keepers.delete(keeper)
    if (bytes <= 0) return
    while (this.#kept > this.#max / KEPT_SHARE) {
      let largest = keeper
      for (const other of this.#keepers) if (other.bytes > largest.bytes) largest = other
      largest.drop()
    }
  }
}
