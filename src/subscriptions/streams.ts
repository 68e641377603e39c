import { Queue } from '../core/queue.ts'

interface Waiting<T> {
  readonly item: T
  readonly arrival: number
}

/**
 * Work by stream: at most `concurrency` items under way at once, of one stream one at a time and in order. Next is the
 * oldest item whose stream is free, so that no stream starves; with concurrency 1 that is the order of arrival.
 *
 *     push -> arrived (-> held, where its stream is busy) -> next: under way -> done
 *
 * Nothing is taken from `arrived` while a free stream holds items. So what is held is older than all in `arrived`, which
 * is looked at once an item, and at most `concurrency` streams hold any.
 */
export class Streams<T extends object> {
  readonly #concurrency: number
  readonly #keyOf: (item: T) => string
  readonly #arrived = new Queue<T>()
  readonly #streams = new Map<string, Queue<Waiting<T>> | undefined>() // that are busy or hold items
  readonly #free: Queue<Waiting<T>>[] = [] // what is held by those that are not busy
  #arrival = 0
  #waitingCount = 0

  constructor(concurrency: number, keyOf: (item: T) => string) {
    this.#concurrency = concurrency
    this.#keyOf = concurrency === 1 ? () => '' : keyOf
  }

  /** How many items are under way. */
  get busy(): number {
    return this.#streams.size - this.#free.length
  }

  /** How many items `next` has not returned yet. */
  get waiting(): number {
    return this.#arrived.length + this.#waitingCount
  }

  push(item: T): void {
    this.#arrived.push(item)
  }

  /** An item to begin with, where there is one and a slot for it. Its stream is busy until `done(item)`. */
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

  /** Once for each item that `next` returned. */
  done(item: T): void {
    const key = this.#keyOf(item)
    const queue = this.#streams.get(key)
    if (queue?.first) this.#free.push(queue)
    else this.#streams.delete(key)
  }

  /** Forget what is waiting; returns it in the order of arrival. What is under way is, until `done`. */
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
