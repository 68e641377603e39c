// delivery.park() parks an event and the later events of its stream; a replay delivers them again.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery, Meow } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { collect } from './support/collect.ts'
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

test('the later events of the stream are parked too, and their acks then do nothing', async () => {
  const { name, append, subscribe, parked, info } = parkingSubscription(meow)
  await append('b', 5)
  const [a] = await append('a', 2)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(7)
  const [b0, b1, b2, b3, b4, a0, a1] = all as [
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
  ]
  await b0.ack()
  const late = b2.ack()
  const { park } = b1
  await park(new Error('unwanted'))
  await Promise.all([b1.ack(), b3.ack(), b4.ack(), late, b1.park(), b4.park(new Error('not this one'))])
  b3.nack()
  assert.equal(await parked(), ['b1', 'b2', 'b3', 'b4'])
  const [first] = await meow.parked(name)
  assert.is(first!.attempts, 1)
  assert.match(first!.error!, /^Error: unwanted\n +at /)
  assert.ok((await checkpoint(name)).position < a!.position, 'a is not acked')
  await append('b')
  await append('c')
  await has(8)
  assert.is(named(all[7]!.event), 'c0')
  await Promise.all([a1.ack(), a0.ack(), all[7]!.ack()])
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })

  await meow.replayParked(name, { streamId: 'b' })
  for (const n of upTo(5)) {
    await has(9 + n)
    const { event, ack } = all[8 + n]!
    assert.is(named(event), `b${n + 1}`)
    await ack()
  }
  await until(async () => (await parked()).length === 0, { what: 'the end of the replay' })
  await append('b')
  await has(14)
  assert.is(named(all[13]!.event), 'b6')
  await all[13]!.ack()
  subscription.unsubscribe()
})

test('the last delivery and a redelivered one can be parked; parking an acked delivery does nothing', async () => {
  const { name, append, subscribe, parked } = parkingSubscription(meow)
  await append('b', 2)
  await append('c', 2)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(4)
  const [b0, b1, c0, c1] = all as [Delivery, Delivery, Delivery, Delivery]
  await b0.ack()
  await b1.park('for a reason')
  assert.equal(await parked(), ['b1'])
  c0.nack()
  await has(6)
  assert.equal(
    all.slice(4).map(({ event, attempt }) => `${named(event)}.${attempt}`),
    ['c0.2', 'c1.1'],
  )
  await c0.park('nothing')
  await c1.park('nothing')
  assert.equal(await parked(), ['b1'])
  await all[4]!.ack()
  await all[4]!.park('nothing')
  assert.equal(await parked(), ['b1'], 'it was acked')
  await all[5]!.park('again')
  assert.equal(
    (await meow.parked(name)).map(({ attempts, error }) => [attempts, error]),
    [
      [1, 'for a reason'],
      [1, 'again'],
    ],
  )
  subscription.unsubscribe()
})

test('a replayed delivery that is nacked comes again, and other streams do not wait for it', async () => {
  const { name, append, subscribe, parkedAre } = parkingSubscription(meow)
  await append('b', 2)
  await append('c', 1)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(3)
  await all[0]!.park()
  await all[2]!.park()
  await meow.replayParked(name)
  await has(4)
  const attempts = [all[3]!.attempt]
  assert.is(named(all[3]!.event), 'b0')
  all[3]!.nack({ delayMs: 5 })
  await all[3]!.ack()
  await until(() => all.some(({ event }, i) => i > 3 && named(event) === 'c0'), { what: 'the other stream' })
  const rest = new Set<Delivery>(all.slice(4))
  const acked: string[] = []
  while (acked.length < 3) {
    for (const delivery of rest) {
      rest.delete(delivery)
      if (named(delivery.event) === 'b0') attempts.push(delivery.attempt)
      await delivery.ack()
      acked.push(named(delivery.event))
    }
    const seen = 4 + acked.length
    if (acked.length < 3) await has(seen + 1)
    for (const delivery of all.slice(seen)) rest.add(delivery)
  }
  assert.is(attempts[1], attempts[0]! + 1)
  assert.equal(
    acked.filter((event) => event.startsWith('b')),
    ['b0', 'b1'],
  )
  await parkedAre()
  subscription.unsubscribe()
})

test.run()
