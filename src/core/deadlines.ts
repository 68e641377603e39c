import { after, now } from './clock.ts'

/** Something that has to be done before a given time. */
export interface Deadline {
  /** The time by which it must be done, by the clock's `now()`. */
  readonly due: number
  /** Called if it was not done in time. */
  onMissed(): void
}

/** Node may call a timer back slightly before its time. */
const EARLY_MS = 1

/**
 * A set of deadlines, nearly all of which are met. One timer serves all of them and is not touched when deadlines come and go,
 * so a deadline costs no more than its place in the set. The timer does not keep the process alive.
 */
export class Deadlines {
  readonly #all = new Set<Deadline>()
  #forget = () => {}
  #wakesAt = Infinity // when the timer fires

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
