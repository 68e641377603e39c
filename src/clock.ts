import { setTimeout as delay } from 'node:timers/promises'

/** Time and chance, as all that subscribes sees them: tests run it by a clock of their own. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number
  /** Milliseconds since 1970, by a clock that may be set. */
  wall(): number
  /** From 0 to 1. */
  random(): number
  /** Call back in `ms`; what it returns takes that back. */
  after(ms: number, call: () => void): () => void
  /** Call back every `ms`; what it returns ends that. */
  every(ms: number, call: () => void): () => void
  /** Resolves in `ms`, or rejects as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A timer that is set for longer rings at once: so nothing here waits longer than 24.8 days. */
const LONGEST_MS = 2_147_483_647
const most = (ms: number) => Math.min(ms, LONGEST_MS)

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: () => Math.random(),
  after: (ms, call) => {
    const timer = setTimeout(call, most(ms))
    return () => clearTimeout(timer)
  },
  every: (ms, call) => {
    const timer = setInterval(call, most(ms))
    return () => clearInterval(timer)
  },
  sleep: (ms, signal) => delay(most(ms), undefined, { ...(signal ? { signal } : {}) }),
}
