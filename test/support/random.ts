/** Seeded randomness: a failing run is repeated with the SEED that it printed. */
export interface Random {
  readonly seed: number
  /** From 0 up to, not including, 1. */
  next(): number
  /** An integer from `least` to `most`, both included. */
  int(least: number, most: number): number
  /** True with this probability. */
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

/** A generator (mulberry32) that gives the same numbers for the same seed. */
export function random(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return { seed, next, int, chance: (p) => next() < p, pick: (from) => from[int(0, from.length - 1)]! }
}

/** The seed that the environment asks for (SEED), else any; printed, so that a failure can be repeated. */
export function seeded(what: string): Random {
  const seed = process.env.SEED ? Number(process.env.SEED) : Math.floor(Math.random() * 4_294_967_296)
  console.log(`${what}: SEED=${seed}`)
  return random(seed)
}
