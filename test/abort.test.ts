// A wait that was given up leaves no callback on the promise, the condition or the signal that it waited for.
import { getEventListeners } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { abortable, abortWith } from '../src/core/abort.ts'
import { Condition } from '../src/core/condition.ts'

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('it resolved'),
    (error) => error,
  )

/** A promise that counts its callbacks. */
class Counted extends Promise<string> {
  static override readonly [Symbol.species] = Promise
  callbacks = 0

  // biome-ignore lint/suspicious/noThenProperty: to count is what it is for
  override then<A = string, B = never>(
    resolved?: ((value: string) => A | PromiseLike<A>) | null,
    rejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.callbacks++
    return super.then(resolved, rejected)
  }
}

function counted() {
  let settle = { resolve: (_: string) => {}, reject: (_: unknown) => {} }
  const promise = new Counted((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}

test('a promise is given one callback, however many wait for it and give up', async () => {
  const { promise, resolve } = counted()
  const stays = new AbortController()
  const waits = abortable(promise, stays.signal)
  for (let i = 0; i < 1_000; i++) {
    const stop = new AbortController()
    const wait = abortable(promise, stop.signal)
    stop.abort(i)
    assert.is(await failure(wait), i)
  }
  assert.is(promise.callbacks, 1)
  resolve('there')
  assert.is(await waits, 'there')
  assert.is(listeners(stays.signal), 0)
  assert.is(await abortable(promise, stays.signal), 'there', 'one that has settled')
})

test('all who wait for a promise that rejects are told, and a signal that has aborted wins', async () => {
  const { promise, reject } = counted()
  const stop = new AbortController()
  const waits = [abortable(promise, stop.signal), abortable(promise, stop.signal)]
  reject('failed')
  for (const wait of waits) assert.is(await failure(wait), 'failed')
  assert.is(await failure(abortable(promise, stop.signal)), 'failed')
  stop.abort('given up')
  assert.is(await failure(abortable(Promise.resolve(), stop.signal)), 'given up')
  assert.is(await failure(abortable(Promise.reject(new Error('of nobody')), stop.signal)), 'given up')
})

test('a condition forgets who gives up, and tells the others once', async () => {
  const condition = new Condition()
  const stop = new AbortController()
  const given = Array.from({ length: 1_000 }, () => condition.nextUnless(stop.signal))
  const stays = new AbortController()
  const waits = condition.nextUnless(stays.signal)
  assert.is(condition.waiting, 1_001)
  stop.abort('given up')
  for (const wait of given) assert.is(await failure(wait), 'given up')
  assert.is(condition.waiting, 1)
  assert.is(await failure(condition.nextUnless(stop.signal)), 'given up')
  assert.is(condition.waiting, 1)
  condition.fire()
  await waits
  assert.equal([condition.waiting, listeners(stays.signal)], [0, 0])
})

test('a controller that follows several signals leaves no listener behind on any', () => {
  const [first, second] = [new AbortController(), new AbortController()]
  const both = abortWith(first.signal, undefined, second.signal)
  assert.equal([listeners(first.signal), listeners(second.signal)], [1, 1])
  first.abort('first')
  assert.is(both.signal.reason, 'first')
  assert.is(listeners(second.signal), 0)
  // Signals after one that has already aborted get no listener.
  assert.is(abortWith(first.signal, second.signal).signal.reason, 'first')
  assert.is(abortWith(second.signal, first.signal).signal.reason, 'first')
  assert.is(listeners(second.signal), 0)
  const ended = abortWith(second.signal)
  ended.abort()
  assert.is(listeners(second.signal), 0)
})

test.run()
