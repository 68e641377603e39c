import { Queue } from '../core/queue.ts'

interface Waiting<T> {
  readonly item: T
  readonly arrival: number
}

/**
 * Schedules items by stream: at most `concurrency` items run at once, and items of one stream run one at a time, in order.
 * The oldest item whose stream is free runs next, so no stream starves. With concurrency 1 this is the order of arrival.
 *
 *     push -> arrived -> stream is busy? -> waiting -> next(): running -> done
 *                     -> otherwise       ----------->
 *
 * While a free stream has waiting items, no item is taken from `arrived`. So waiting items are older than arrived ones,
 * each item is looked at once, and at most `concurrency` streams have waiting items.
 */
export class Streams<T extends object> {
  readonly #concurrency: number
  readonly #keyOf: (item: T) => string
  readonly #arrived = new Queue<T>()
  readonly #streams = new Map<string, Queue<Waiting<T>> | undefined>() // streams that are busy or have waiting items
  readonly #free: Queue<Waiting<T>>[] = [] // the waiting items of streams that are not busy
  #arrival = 0
  #waitingCount = 0

  constructor(concurrency: number, keyOf: (item: T) => string) {
    this.#concurrency = concurrency
    this.#keyOf = concurrency === 1 ? () => '' : keyOf
  }

  /** How many items run. */
  get busy(): number {
    return this.#streams.size - this.#free.length
  }

  /** How many items have not begun. */
  get waiting(): number {
    return this.#arrived.length + this.#waitingCount
  }

  push(item: T): void {
    this.#arrived.push(item)
  }

  /** The next item to run, if there is one and fewer than `concurrency` run. Its stream is busy until `done(item)`. */
  next(): T | undefined {
    if (this.busy >= this.#concurrency) return undefined
    if (this.#free.length > 0) return this.#oldest()
    for (let item = this.#arrived.shift(); item; item = this.#arrived.shift()) {
      const key = this.#keyOf(item)
      const arrival = this.#arrival++
      const queue = this.#streams.get(key)
      if (queue) queue.push({ item, arrival })
      else if (!this.#streams.has(key)) {
        this.#streams.set(key, undefined)
        return item
      } else {
        const queue = new Queue<Waiting<T>>()
        queue.push({ item, arrival })
        this.#streams.set(key, queue)
      }
      this.#waitingCount++
    }
    return undefined
  }

  /** The item has ended; call it once for each item that `next` returned. */
  done(item: T): void {
    const key = this.#keyOf(item)
    const queue = this.#streams.get(key)
    if (queue?.first) this.#free.push(queue)
    else this.#streams.delete(key)
  }

  /** Remove all items that have not begun, and return them in the order of arrival. Running items still need `done`. */
  clear(): T[] {
    const free = this.#free.splice(0).map((queue) => this.#keyOf(queue.first!.item))
    const waiting = [...this.#streams.values()].flatMap((queue) => queue?.clear() ?? [])
    for (const key of free) this.#streams.delete(key)
    this.#waitingCount = 0
    waiting.sort((a, b) => a.arrival - b.arrival)
    return [...waiting.map(({ item }) => item), ...this.#arrived.clear()]
  }

  #oldest(): T {
    const free = this.#free
    let oldest = 0
    for (let i = 1; i < free.length; i++) {
      if (free[i]!.first!.arrival < free[oldest]!.first!.arrival) oldest = i
    }
    const queue = free[oldest]!
    const last = free.pop()!
    if (last !== queue) free[oldest] = last
    this.#waitingCount--
    return queue.shift()!.item
  }
}
