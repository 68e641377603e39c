import { whenAborted } from './abort.ts'

/** Something happens now and then, and others wait for the next time. Those that give up are forgotten at once. */
export class Condition {
  #waiting = new Set<() => void>()

  /** Settles when it happens next, with what `begin` returns, which is called within `fire`, and not a tick later. */
  next<T = void>(begin?: () => T): Promise<T> {
    return new Promise((resolve) => this.#waiting.add(() => resolve(begin?.() as T)))
  }

  /** Resolves when it happens next; rejects as soon as the signal aborts. */
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

  /** How many wait. */
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
