/** Something happens now and then, and others wait for the next time. */
export class Signal {
  #waiting: (() => void)[] = []

  /** Settles when it happens next. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  fire(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
