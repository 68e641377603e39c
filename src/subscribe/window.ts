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
  #entries: Entry[] = []
  #covered: Entry[] = [] // below the watermark, and somebody waits for the checkpoint
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

  get watermark(): number {
    return this.#watermark
  }

  /** Position of the delivery that holds the watermark back. */
  get oldest(): number | undefined {
    return this.#entries[0]?.position
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
    if (entry === this.#entries[0]) this.#move()
  }

  /** A checkpoint at `position` is durable. */
  durable(position: number): void {
    let n = 0
    while (n < this.#covered.length && this.#covered[n]!.position <= position) this.#covered[n++]!.settle?.()
    if (n > 0) this.#covered = this.#covered.slice(n)
  }

  /** No checkpoint of ours will ever cover what is left. */
  abandon(error: unknown): void {
    this.#abandoned ??= { error }
    for (const entry of [...this.#covered, ...this.#entries]) entry.settle?.(error)
    this.#covered = []
    this.#entries = []
    this.#unacked = 0
  }

  #move(): void {
    let n = 0
    while (n < this.#entries.length && this.#entries[n]!.acked) {
      const entry = this.#entries[n++]!
      this.#watermark = entry.position
      if (entry.settle) this.#covered.push(entry)
    }
    if (n > 0) this.#entries = this.#entries.slice(n)
    if (this.#entries.length === 0) this.#watermark = Math.max(this.#watermark, this.#passed)
  }
}
