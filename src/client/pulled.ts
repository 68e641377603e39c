/** Batches that one side pushes and the other pulls, one value at a time. `push` resolves when all of its batch is taken. */
export class Pulled<T> implements AsyncIterator<T, undefined> {
  #values: T[] = []
  #taken: (() => void) | undefined
  #waiting: (() => void) | undefined
  #ended = false
  #error: unknown
  readonly #stop: () => void
  #last: Promise<unknown> = Promise.resolve()

  constructor(stop: () => void) {
    this.#stop = stop
  }

  push(values: T[]): Promise<void> {
    this.#values = values.slice().reverse()
    return new Promise((resolve) => {
      this.#taken = resolve
      this.#waiting?.()
    })
  }

  end(error?: unknown): void {
    this.#ended = true
    this.#error = error
    this.#waiting?.()
  }

  /** Overlapping calls are answered one after the other. */
  next(): Promise<IteratorResult<T, undefined>> {
    const result = this.#last.then(() => this.#next())
    this.#last = result.catch(() => {})
    return result
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#values = []
    this.#stop()
    this.end()
    this.#taken?.() // a push that waits can go on
    return { done: true, value: undefined }
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      if (this.#values.length > 0) return { done: false, value: this.#values.pop()! }
      this.#taken?.()
      this.#taken = undefined
      if (this.#ended) {
        const error = this.#error
        this.#error = undefined
        if (error !== undefined) throw error
        return { done: true, value: undefined }
      }
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
      this.#waiting = undefined
    }
  }
}
