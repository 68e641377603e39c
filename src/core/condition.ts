import { whenAborted } from './abort.ts'

/**
 * An event inside the engine that others can await: they wait for the next time it fires. Waiters that give up are removed at
 * once.
 */
export class Condition {
  #waiting = new Set<() => void>()

  /** Resolves when it fires next, with the result of `begin`. `begin` is called synchronously, inside `fire`. */
  next<T = void>(begin?: () => T): Promise<T> {
    return new Promise((resolve) => this.#waiting.add(() => resolve(begin?.() as T)))
  }

  /** Resolves when it fires next. Rejects as soon as the signal aborts. */
  nextUnless(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const happened = () => {
        forget()
        resolve()
      }
      this.#waiting.add(happened)
      const forget = whenAborted(signal, () => {
        this.#waiting.delete(happened)
        reject(signal.reason)
      })
    })
  }

  /** The number of waiters. */
  get waiting(): number {
    return this.#waiting.size
  }

  fire(): void {
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const resolve of waiting) resolve()
  }
}
