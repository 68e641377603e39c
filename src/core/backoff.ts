import type { Clock } from './clock.ts'

/** How the pauses between attempts grow, in ms. */
export interface Growth {
  readonly firstMs: number
  readonly maxMs: number
  /** How many times as long each further pause is; default 2. */
  readonly factor?: number
}

/** The pause after attempt 1, 2, …, in ms. */
export function pauseAfter(attempt: number, { firstMs, maxMs, factor = 2 }: Growth): number {
  return Math.min(maxMs, firstMs * factor ** Math.min(attempt - 1, 31))
}

/**
 * The pause after failed attempt 1, 2, …, in ms: at random between half of it and all of it, so that those that failed together
 * do not try again together (the "equal jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 * By default at most 1 s, so that work continues within 2 s after a server is back.
 */
export function backoff(
  attempt: number,
  clock: Pick<Clock, 'random'>,
  {
    firstMs = 50,
    maxMs = 1_000,
    factor = 2,
  }: { readonly [Part in keyof Growth]?: Growth[Part] | undefined } = {},
): number {
  const pause = pauseAfter(attempt, { firstMs, maxMs, factor })
  return pause / 2 + (clock.random() * pause) / 2
}
