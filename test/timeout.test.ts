// A promise with a timeout settles once: in time, late or aborted. Nothing is left of it then: no timer, no listener, no
// unhandled rejection.
import { getEventListeners } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../src/core/clock.ts'
import { systemClock } from '../src/core/clock.ts'
import { withTimeout } from '../src/core/timeout.ts'

/** A clock whose timers fire when `late` is called. */
function withClock() {
  const timers = new Set<() => void>()
  const clock: Clock = {
    ...systemClock,
    after: (_ms, call) => {
      timers.add(call)
      return () => void timers.delete(call)
    },
  }
  return { clock, timers, late: () => timers.forEach((call) => void call()) }
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('it resolved'),
    (error) => error,
  )
const never = (): never => {
  throw new Error('it was late')
}

test('what comes in time is passed on, a value or an error', async () => {
  const { clock, timers } = withClock()
  assert.is(await withTimeout(1_000, async () => 1, never, { clock }), 1)
  const error = new Error('no')
  const failing = () => Promise.reject(error)
  assert.is(await failure(withTimeout(1_000, failing, never, { clock })), error)
  const throwing = (): Promise<unknown> => {
    throw error
  }
  assert.is(await failure(withTimeout(1_000, throwing, never, { clock })), error)
  assert.is(timers.size, 0)
})

test('what is late is replaced, by a value or an error, and its own end has no effect', async () => {
  const { clock, late, timers } = withClock()
  let reject = (_: unknown) => {}
  const run = () =>
    new Promise<number>((_, fail) => {
      reject = fail
    })
  const value = withTimeout(1_000, run, () => 2, { clock })
  late()
  assert.is(await value, 2)
  reject(new Error('too late to matter'))
  const error = new Error('late')
  const failing = withTimeout(
    1_000,
    run,
    () => {
      throw error
    },
    { clock },
  )
  late()
  assert.is(await failure(failing), error)
  reject(new Error('too late to matter'))
  await new Promise((resolve) => setImmediate(resolve)) // Node would end the process for an unhandled rejection
  assert.is(timers.size, 0)
})

test('an abort rejects with its reason, and the signal keeps no listener', async () => {
  const { clock, timers } = withClock()
  const stop = new AbortController()
  const { signal } = stop
  await withTimeout(1_000, async () => 1, never, { clock, signal })
  assert.is(getEventListeners(signal, 'abort').length, 0)
  const waiting = withTimeout(1_000, () => new Promise(() => {}), never, { clock, signal })
  const reason = new Error('stopped')
  stop.abort(reason)
  assert.is(await failure(waiting), reason)
  assert.is(await failure(withTimeout(1_000, async () => 1, never, { clock, signal })), reason)
  assert.is(timers.size, 0)
})

test.run()
