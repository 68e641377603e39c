/** Of a growing count, how much it grows a second, measured over the last second. */
export class Rate {
  readonly #samples: [at: number, count: number][] = []

  sample(at: number, count: number): number {
    this.#samples.push([at, count])
    while (at - this.#samples[0]![0] > 1_000 && this.#samples.length > 2) this.#samples.shift()
    const [since, before] = this.#samples[0]!
    return at > since ? ((count - before) / (at - since)) * 1000 : 0
  }
}

/** Percentiles of values, of all or of those of the last second. */
export class Latencies {
  readonly #values: [at: number, value: number][] = []

  add(at: number, values: readonly number[]): void {
    for (const value of values) this.#values.push([at, value])
  }

  get size(): number {
    return this.#values.length
  }

  /** As `p50 2.1 ms, p99 8.4 ms`; `since` leaves out what was added before. */
  show(since = 0): string {
    const from = this.#values.findLastIndex(([at]) => at < since) + 1
    const values = this.#values
      .slice(from)
      .map(([, value]) => value)
      .sort((a, b) => a - b)
    if (values.length === 0) return 'p50 - ms, p99 - ms'
    const percentile = (p: number) => {
      const value = values[Math.ceil(values.length * p) - 1]!
      return `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`
    }
    return `p50 ${percentile(0.5)}, p99 ${percentile(0.99)}`
  }
}
