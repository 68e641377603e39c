/** A value, with its time in ms. */
export interface Point {
  readonly at: number
  readonly value: number
}

export interface Trend {
  /** By how much it grew in the second half, by a straight line through it. */
  readonly growth: number
  /** How far that may be off: three standard errors. */
  readonly noise: number
  readonly last: number
}

const BLOCKS = 12

/**
 * The trend of the second half: the first is for caches to fill and code to be compiled. What rises and falls (a heap between
 * two collections, a table between two vacuums) is judged by the least of each of 12 blocks. Undefined with too few points.
 */
export function trend(points: readonly Point[]): Trend | undefined {
  const half = points.slice(Math.floor(points.length / 2))
  if (half.length < BLOCKS) return undefined
  const least = Array.from({ length: BLOCKS }, (_, i) => {
    const block = half.slice(
      Math.floor((i * half.length) / BLOCKS),
      Math.floor(((i + 1) * half.length) / BLOCKS),
    )
    return block.reduce((a, b) => (b.value < a.value ? b : a))
  })
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const [x, y] = [mean(least.map(({ at }) => at)), mean(least.map(({ value }) => value))]
  const spread = least.reduce((sum, { at }) => sum + (at - x) ** 2, 0)
  const slope = least.reduce((sum, { at, value }) => sum + (at - x) * (value - y), 0) / spread
  const rest = least.reduce((sum, { at, value }) => sum + (value - y - slope * (at - x)) ** 2, 0)
  const span = half.at(-1)!.at - half[0]!.at
  const error = Math.sqrt(rest / (BLOCKS - 2) / spread)
  return { growth: slope * span, noise: 3 * error * span, last: half.at(-1)!.value }
}

/** It grew by more than chance and the permitted growth explain. */
export const leaks = ({ growth, noise }: Trend, allowed: number) => growth - noise > allowed
