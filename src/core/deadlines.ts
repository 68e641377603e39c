import { after, now } from './clock.ts'

/** What has to be done by a moment. */
export interface Deadline {
  /** By the clock's `now()`. */
  readonly due: number
  /** Called when it is not. */
  onMissed(): void
}

/** Node may call back a little before the time. */
const EARLY_MS = 1

/**
 * Deadlines of which nearly all are met: one timer for all of them, which is left alone as they come and go, so that one
 * costs no more than its place in a set. It keeps no process alive; what is waited for does.
 */
export class Deadlines {
  readonly #all = new Set<Deadline>()
  #forget = () => {}
  #wakesAt = Infinity // when it looks

  add(deadline: Deadline): void {
    this.#all.add(deadline)
    if (deadline.due < this.#wakesAt) this.#setTimer(deadline.due)
  }

  delete(deadline: Deadline): void {
    this.#all.delete(deadline)
  }

  #setTimer(at: number): void {
    this.#forget()
    this.#wakesAt = at
    this.#forget = after(at - now(), () => this.#check(), { ref: false })
  }

  #check(): void {
    this.#wakesAt = Infinity
    const reached = now() + EARLY_MS
    let next = Infinity
    for (const deadline of [...this.#all]) {
      if (deadline.due > reached) next = Math.min(next, deadline.due)
      else if (this.#all.delete(deadline)) deadline.onMissed()
    }
    if (next < this.#wakesAt) this.#setTimer(next)
  }
}
