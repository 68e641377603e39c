/** Something happens now and then, and others wait for the next time. */
export class Signal {
  #waiting: (() => void)[] = []

  /** Settles when it happens next, with what `begin` returns, which is called within `fire`, and not a tick later. */
  next<T = void>(begin?: () => T): Promise<T> {
    return new Promise((resolve) => this.#waiting.push(() => resolve(begin?.() as T)))
  }

  fire(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
