import { Queue } from './queue.ts'

/** One delivery on its way. */
export interface Entry {
  readonly position: number
  acked: boolean
  /** Called once a checkpoint covers it, or with an error once none ever will. */
  settle?: (error?: unknown) => void
}

/**
 * The deliveries that are not acked yet, in order. Acks come in any order; the watermark is the position up to which
 * all is acked, so that a checkpoint there skips nothing.
 *
 *     positions   3    7    8    12   | read on to 15, nothing more there
 *     acked       yes  yes  no   yes  | watermark 7; once 8 is acked: 15
 */
export class Window {
  readonly #entries = new Queue<Entry>()
  readonly #covered = new Queue<Entry>() // below the watermark, and somebody waits for the checkpoint
  #unacked = 0
  #watermark: number
  #passed: number
  #abandoned: { error: unknown } | undefined

  constructor(position: number) {
    this.#watermark = position
    this.#passed = position
  }

  /** How many deliveries are not acked. */
  get size(): number {
    return this.#unacked
  }

  /** How many deliveries are above the watermark, acked or not. */
  get span(): number {
    return this.#entries.length
  }

  get watermark(): number {
    return this.#watermark
  }

  add(position: number): Entry {
    const entry: Entry = { position, acked: false }
    this.#entries.push(entry)
    this.#unacked++
    return entry
  }

  /** All that is to be delivered up to `position` was added. */
  pass(position: number): void {
    this.#passed = Math.max(this.#passed, position)
    this.#move()
  }

  ack(entry: Entry): void {
    if (this.#abandoned) entry.settle?.(this.#abandoned.error)
    if (this.#abandoned || entry.acked) return
    entry.acked = true
    this.#unacked--
    if (entry === this.#entries.first) this.#move()
  }

  /** A checkpoint at `position` is durable. */
  durable(position: number): void {
    for (let entry = this.#covered.first; entry && entry.position <= position; entry = this.#covered.first) {
      this.#covered.shift()
      entry.settle?.()
    }
  }

  /** No checkpoint of ours will ever cover what is left. */
  abandon(error: unknown): void {
    this.#abandoned ??= { error }
    for (const entry of [...this.#covered.clear(), ...this.#entries.clear()]) entry.settle?.(error)
    this.#unacked = 0
  }

  #move(): void {
    for (let entry = this.#entries.first; entry?.acked; entry = this.#entries.first) {
      this.#entries.shift()
      this.#watermark = entry.position
      if (entry.settle) this.#covered.push(entry)
    }
    if (this.#entries.first === undefined) this.#watermark = Math.max(this.#watermark, this.#passed)
  }
}
