/** Something happens now and then, and others wait for the next time. */
export class Signal {
  #waiting: (() => void)[] = []

  /** Settles when it happens next. */
  next(): Promise<void>
  /** `begin` is called within `fire`, and not when all is done that fired it; settles with what it returns. */
  next<T extends object>(begin: () => T): Promise<T>
  next<T>(begin?: () => T): Promise<T | undefined> {
    return new Promise((resolve) => this.#waiting.push(() => resolve(begin?.())))
  }

  fire(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
