// A failing event and the later events of its stream are parked, in order. The other streams and the checkpoint go on.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { named } from './support/named.ts'
import { parkingSubscription } from './support/parking.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(closeAll)

test('a failing event and the later events of its stream are parked; the others are handled, and the checkpoint passes', async () => {
  const { name, bad, append, process, has, info, parked, parkedAre, handled } = parkingSubscription(meow)
  bad.add('b')
  await append('a', 2)
  const [poison] = await append('b', 3)
  const [c] = await append('c', 2)
  const worker = process()
  await has('a0', 'a1', 'c0', 'c1')
  await parkedAre('b0', 'b1', 'b2')
  await meow.waitFor(name, c!.position)
  await meow.waitFor(name, poison!.position)
  const [b3, a2] = [(await append('b'))[0]!, (await append('a'))[0]!]
  await has('a2')
  await meow.waitFor(name, a2.position)
  await meow.waitFor(name, b3.position)
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint to pass the parked events' })
  const { position, parked: count } = (await info())!
  assert.ok(position >= a2.position)
  assert.is(count, 4)
  assert.equal(await parked(), ['b0', 'b1', 'b2', 'b3'])
  assert.equal(handled, ['a0', 'a1', 'c0', 'c1', 'a2'])
  await worker.stop()
  assert.is((await info())!.lag, 0)
})

test('with concurrency, the events of the same stream that already wait are parked too, and none of them is handled', async () => {
  const { bad, append, process, has, parkedAre, handled } = parkingSubscription(meow)
  bad.add('b')
  await append('b', 30)
  for (const stream of ['c', 'd', 'e']) await append(stream, 10)
  const begun: string[] = []
  const worker = process(
    async (event) => {
      begun.push(named(event))
      await Promise.resolve()
      if (bad.has(event.streamId)) throw new Error('no')
      handled.push(named(event))
    },
    { concurrency: 4, retry: { maxAttempts: 2, minDelayMs: 1 } },
  )
  await has('c9', 'd9', 'e9')
  await parkedAre(...upTo(30).map((n) => `b${n}`))
  assert.equal(
    begun.filter((event) => event.startsWith('b')),
    ['b0', 'b0'],
  )
  for (const stream of ['c', 'd', 'e']) {
    assert.equal(
      handled.filter((event) => event.startsWith(stream)),
      upTo(10).map((n) => `${stream}${n}`),
    )
  }
  await worker.stop()
})

test('parked() returns the events, the number of attempts, and the error with its stack', async () => {
  const { name, append, process, parkedAre } = parkingSubscription(meow)
  const [event, follower] = await append('error', 2)
  for (const stream of ['string', 'nothing', 'object', 'strange']) await append(stream)
  const before = Date.now() - 60_000
  function thrower() {
    throw new RangeError('out of range')
  }
  const worker = process(
    async ({ streamId }) => {
      if (streamId === 'string') throw 'only a string'
      if (streamId === 'nothing') throw undefined
      if (streamId === 'object') throw { toString: () => 'an object' }
      if (streamId === 'strange') throw new Error('a \u0000 and a \ud800')
      thrower()
    },
    { retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
  )
  await parkedAre('error0', 'error1', 'string0', 'nothing0', 'object0', 'strange0')
  const [first, second, string, nothing, object, strange] = await meow.parked(name)
  assert.equal([first!.event, second!.event], [event, follower])
  assert.equal([first!.attempts, second!.attempts], [3, 0])
  assert.match(first!.error!, /^RangeError: out of range\n +at thrower \(.*parking\./)
  assert.is(second!.error, null)
  assert.ok(+first!.parkedAt > before && +first!.parkedAt < Date.now() + 60_000)
  assert.equal(first!.parkedAt, second!.parkedAt)
  assert.equal([string!.error, nothing!.error, object!.error], ['only a string', null, 'an object'])
  assert.match(strange!.error!, /^Error: a . and a ./)
  await worker.stop()
})

test('parked events stay parked after a restart and after another store has taken over', async () => {
  const { bad, append, process, has, parkedAre, handled } = parkingSubscription(meow)
  bad.add('b')
  await append('b', 2)
  await append('a')
  let worker = process()
  await has('a0')
  await parkedAre('b0', 'b1')
  await worker.stop()
  bad.clear()
  await append('b')
  await append('a')
  worker = process()
  await has('a1')
  await parkedAre('b0', 'b1', 'b2')

  const other = await openStore({ pollIntervalMs: 200 })
  await listening(other)
  const next = process(undefined, {}, other)
  await next.ready
  await worker.stop()
  await append('b')
  await append('a')
  await has('a2')
  await parkedAre('b0', 'b1', 'b2', 'b3')
  assert.equal(handled, ['a0', 'a1', 'a2'])
  await next.stop()
  await other.close()
})

test.run()
