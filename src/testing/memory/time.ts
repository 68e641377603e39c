// The clock of a store in memory, and what runs by it.
import { soon, turn } from '../../core/clock.ts'
import { Condition } from '../../core/condition.ts'
import { ValidationError } from '../../core/errors.ts'
import { isDate } from '../../core/kinds.ts'
import { withoutContext } from '../../events/event-context.ts'

/** Something that waits for a time of the clock. */
export interface Waiting {
  /** When its next action is due, in ms since 1970; undefined: nothing waits. */
  next(): number | undefined
  /** Does the one action that is due first. */
  fire(): void
}

/** A clock that `advance` moves. Between two calls it follows the clock of the options, but nothing waits for that. */
export class MemoryTime {
  readonly #clock: () => Date
  readonly #pump: () => void
  readonly #ended = new Condition()
  readonly waiting = new Set<Waiting>()
  #movedMs = 0
  #underWay = 0
  #pumpsSoon = false
  #advancing: Promise<void> = Promise.resolve()

  /** `pump` starts what can begin now. */
  constructor(clock: () => Date, pump: () => void) {
    this.#clock = clock
    this.#pump = pump
  }

  /** In ms since 1970. */
  now(): number {
    const date = this.#clock()
    if (!isDate(date) || Number.isNaN(date.getTime()))
      throw new ValidationError('options.now', 'must return a valid Date', date)
    return date.getTime() + this.#movedMs
  }

  /** Something may begin now. It begins after the caller has gone on, and not in the caller's context. */
  wake(): void {
    if (this.#pumpsSoon) return
    this.#pumpsSoon = true
    const end = this.begin()
    soon(() => {
      this.#pumpsSoon = false
      withoutContext(this.#pump)
      end()
    })
  }

  /** Something is under way until the returned function is called. */
  begin(): () => void {
    this.#underWay++
    return () => {
      this.#underWay--
      if (this.#underWay === 0) this.#ended.fire()
    }
  }

  /** Moves the clock on, and does what becomes due, in order, each at its time. One call after the other. */
  advance(ms: number): Promise<void> {
    const advancing = this.#advancing.then(() => this.#advance(ms))
    this.#advancing = advancing.catch(() => {})
    return advancing
  }

  async #advance(ms: number): Promise<void> {
    await this.#idle()
    const until = this.now() + ms
    for (let first = this.#first(); first && first.due <= until; first = this.#first()) {
      const { due, one } = first
      this.#moveTo(due)
      withoutContext(() => one.fire())
      await this.#idle()
    }
    this.#moveTo(until)
  }

  #first() {
    const all = [...this.waiting].flatMap((one) => {
      const due = one.next()
      return due === undefined ? [] : [{ due, one }]
    })
    return all.sort((a, b) => a.due - b.due)[0]
  }

  #moveTo(time: number): void {
    this.#movedMs += Math.max(time - this.now(), 0)
  }

  async #idle(): Promise<void> {
    do {
      // Lets calls that were not awaited, such as an append, run until they count.
      await turn()
      while (this.#underWay > 0) await this.#ended.next()
    } while (this.#underWay > 0)
  }
}
