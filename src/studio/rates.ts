// Rates of events.
/** A rate is the average of this many seconds. */
const WINDOW = 5

/** Events a second for each category, over the last few seconds. */
export class Rates {
  #seconds: Map<string, number>[] = [new Map()]

  count(category: string, events = 1): void {
    const now = this.#seconds[0]!
    now.set(category, (now.get(category) ?? 0) + events)
  }

  /** Call it when a second has passed; returns the rates. */
  tick(): Map<string, number> {
    const full = this.#seconds
    const rates = new Map<string, number>()
    for (const second of full)
      for (const [category, count] of second) rates.set(category, (rates.get(category) ?? 0) + count)
    for (const [category, count] of rates) rates.set(category, Math.round((10 * count) / full.length) / 10)
    this.#seconds = [new Map(), ...full.slice(0, WINDOW - 1)]
    return rates
  }

  clear(): void {
    this.#seconds = [new Map()]
  }
}
