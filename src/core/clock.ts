import { performance } from 'node:perf_hooks'
import process from 'node:process'
import type { TimerOptions } from 'node:timers'
import * as timers from 'node:timers'
import { scheduler } from 'node:timers/promises'

// Time for the whole library. When a test removes its fake timers, everything that waits for them is dropped, and an append or
// a lease must not wait forever because of that. So the real functions are taken once, when this module loads.

/** The real function, if Sinon, Jest or Vitest had replaced it before this module was loaded: they keep it under this name. */
function real<T extends object>(there: T, name: string): T {
  return (there as { clock?: Record<string, T> }).clock?.[`_${name}`] ?? there
}

const nextTick = real(process.nextTick, 'nextTick')
const setTimer = real(timers.setTimeout, 'setTimeout')
const immediate = real(timers.setImmediate, 'setImmediate')
const clearTimer = real(timers.clearTimeout, 'clearTimeout')
const { now: dateNow } = real(Date, 'Date')
// Take it from the class if there is one: fakes replace what the object itself has.
const monotonic = (Object.getPrototypeOf(performance).now ?? performance.now).bind(performance)
const wait: (ms: number, options?: TimerOptions) => Promise<void> = (
  Object.getPrototypeOf(scheduler).wait ?? scheduler.wait
).bind(scheduler)
/** Some fakes, such as Node's own `mock.timers`, do not keep the real function. */
const isFake = setTimer.name !== 'setTimeout'

/** Milliseconds of a clock that never goes back. */
export const now = (): number => monotonic()

/** Milliseconds since 1970. The system clock may be set, so this may go back. */
export const wall: () => number = () => dateNow()

/** Calls back when the running code, and the promises that it settles, are done. */
export const soon = (call: () => void): void => nextTick(call)

/** Resolves when all code that waits for nothing else has run: after the callbacks of `soon`. */
export const turn = (): Promise<void> => new Promise((resolve) => immediate(() => resolve()))

/** Calls back in `ms`. The returned function cancels this. With `ref: false` the process does not stay alive for it. */
export function after(ms: number, call: () => void, { ref = true } = {}): () => void {
  if (isFake) {
    const taken = new AbortController()
    wait(ms, { signal: taken.signal, ref }).then(call, () => {})
    return () => taken.abort()
  }
  const timer = setTimer(call, ms)
  if (!ref) timer.unref()
  return () => clearTimer(timer)
}

/** Calls back every `ms`. The returned function ends this. */
export function every(ms: number, call: () => void, options?: { ref?: boolean }): () => void {
  let end = () => {}
  const again = () => {
    const next = () => {
      again()
      call()
    }
    end = after(ms, next, options)
  }
  again()
  return () => end()
}

/** Resolves in `ms`, or rejects as soon as the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return wait(ms, signal && { signal })
}

/** Time and randomness for everything that subscribes. Tests pass a clock of their own. */
export interface Clock {
  /** Milliseconds of a clock that never goes back. */
  now(): number
  /** Milliseconds since 1970. The system clock may be set, so this may go back. */
  wall(): number
  /** A random number from 0 to 1. */
  random(): number
  /** Calls back in `ms`. The returned function cancels this. */
  after(ms: number, call: () => void): () => void
  /** Calls back every `ms`. The returned function ends this. */
  every(ms: number, call: () => void): () => void
  /** Resolves in `ms`, or rejects as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = { now, wall, random: () => Math.random(), after, every, sleep }
