import type { Machine } from './machine.ts'

interface Timer {
  readonly machine: Machine
  readonly at: number
  readonly n: number
  readonly call: () => void
}

/** The time of all machines, which stands still until it is moved to the next timer. */
export class Timers {
  now = 1_000
  #all: Timer[] = []
  #n = 0

  after(machine: Machine, ms: number, call: () => void): () => void {
    const timer = { machine, at: this.now + Math.max(ms, 0), n: this.#n++, call }
    this.#all.push(timer)
    return () => {
      this.#all = this.#all.filter((other) => other !== timer)
    }
  }

  forget(machine: Machine): void {
    this.#all = this.#all.filter((timer) => timer.machine !== machine)
  }

  /** How many a machine has. */
  of(machine: Machine): number {
    return this.#all.filter((timer) => timer.machine === machine).length
  }

  /** Let time pass until the next timer of a machine that runs, and fire it. False: there is none. */
  next(): boolean {
    let first: Timer | undefined
    for (const timer of this.#all) {
      if (timer.machine.frozen) continue
      if (!first || timer.at < first.at || (timer.at === first.at && timer.n < first.n)) first = timer
    }
    if (!first) return false
    this.#all = this.#all.filter((timer) => timer !== first)
    this.now = Math.max(this.now, first.at)
    first.call()
    return true
  }
}
