// Values over time.
/** How many samples are kept: 15 minutes with one a second. */
const KEPT = 900

/** A value over time. A page plots it from its JSON. */
export class Series {
  /** In ms since 1970. */
  readonly at: number[] = []
  /** Null if no page was open, or the value was not known. */
  readonly values: (number | null)[] = []

  add(at: number, value: number | null): void {
    this.at.push(at)
    this.values.push(value)
    if (this.at.length <= KEPT) return
    this.at.shift()
    this.values.shift()
  }
}

/** Many series, by name. */
export class ManySeries {
  readonly #most: number
  readonly #all = new Map<string, Series>()

  constructor(most: number) {
    this.#most = most
  }

  /** Adds a sample to each series, and removes the series without a value. */
  add(at: number, values: ReadonlyMap<string, number | null>): void {
    for (const name of this.#all.keys()) if (!values.has(name)) this.#all.delete(name)
    for (const [name, value] of values) {
      const series = this.#all.get(name) ?? new Series()
      if (series.at.length === 0 && this.#all.size >= this.#most) continue
      this.#all.set(name, series)
      series.add(at, value)
    }
  }

  /** Marks a gap: no page is open. */
  interrupt(at: number): void {
    for (const series of this.#all.values()) series.add(at, null)
  }

  of(name: string): Series {
    return this.#all.get(name) ?? new Series()
  }
}
