/** Samples that are kept: 15 minutes, one a second. */
const KEPT = 900
const MAX_SUBSCRIPTIONS = 1_000

export interface LagHistory {
  /** In ms since 1970. */
  readonly at: readonly number[]
  /** Null: nobody looked. */
  readonly lag: readonly (number | null)[]
}

/** The lag of each subscription over time, of the time in which somebody looked. */
export class Lags {
  readonly #histories = new Map<string, { at: number[]; lag: (number | null)[] }>()

  /** Adds a sample of each, and forgets those that are no more. */
  add(at: number, lags: ReadonlyMap<string, number | null>): void {
    for (const name of this.#histories.keys()) if (!lags.has(name)) this.#histories.delete(name)
    for (const [name, lag] of lags) {
      let history = this.#histories.get(name)
      if (!history) {
        if (this.#histories.size >= MAX_SUBSCRIPTIONS) continue
        history = { at: [], lag: [] }
        this.#histories.set(name, history)
      }
      history.at.push(at)
      history.lag.push(lag)
      if (history.at.length > KEPT) {
        history.at.shift()
        history.lag.shift()
      }
    }
  }

  /** Nobody looks any more. */
  interrupt(at: number): void {
    this.add(at, new Map([...this.#histories.keys()].map((name) => [name, null])))
  }

  of(name: string): LagHistory {
    return this.#histories.get(name) ?? { at: [], lag: [] }
  }
}
