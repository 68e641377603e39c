import { performance } from 'node:perf_hooks'
import process from 'node:process'
import type { TimerOptions } from 'node:timers'
import * as timers from 'node:timers'
import { scheduler } from 'node:timers/promises'

// Time itself, for all of this library. A test that fakes timers drops what waits for them when it takes the fake away, and
// an append or a lease must not wait for ever then. So these functions are taken once, when this module loads.

/** What Sinon, Jest or Vitest had replaced before this module was loaded: they keep it under this name. */
function real<T extends object>(there: T, name: string): T {
  return (there as { clock?: Record<string, T> }).clock?.[`_${name}`] ?? there
}

const nextTick = real(process.nextTick, 'nextTick')
const setTimer = real(timers.setTimeout, 'setTimeout')
const clearTimer = real(timers.clearTimeout, 'clearTimeout')
const { now: dateNow } = real(Date, 'Date')
// Of the class, where there is one: fakes replace what the object itself has.
const monotonic = (Object.getPrototypeOf(performance).now ?? performance.now).bind(performance)
const wait: (ms: number, options?: TimerOptions) => Promise<void> = (
  Object.getPrototypeOf(scheduler).wait ?? scheduler.wait
).bind(scheduler)
/** Node's own `mock.timers`, say, keeps nothing that could be taken. */
const isFake = setTimer.name !== 'setTimeout'

/** Milliseconds that never go back. */
export const now = (): number => monotonic()

/** Milliseconds since 1970, by a clock that may be set. */
export const wall: () => number = () => dateNow()

/** Call back as soon as what runs now, and the promises that it settles, are done. */
export const soon = (call: () => void): void => nextTick(call)

/** Call back in `ms`; what it returns takes that back. With `ref: false` the process does not wait for it. */
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

/** Call back every `ms`; what it returns ends that. */
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

export const systemClock: Clock = { now, wall, random: () => Math.random(), after, every, sleep }
