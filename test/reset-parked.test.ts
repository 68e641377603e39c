// resetSubscription() forgets what is parked, and running workers continue from the new position.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { gate } from './support/gate.ts'
import { named } from './support/named.ts'
import { parkingSubscription } from './support/parking.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(closeAll)

test('after a reset nothing is parked, and the worker handles all events again', async () => {
  const { name, bad, append, process, has, parkedAre, handled } = parkingSubscription(meow)
  bad.add('b')
  await append('a')
  await append('b', 2)
  const worker = process()
  await parkedAre('b0', 'b1')
  bad.clear()
  await meow.resetSubscription(name, 'start')
  await has('b0', 'b1')
  await parkedAre()
  await append('b')
  await has('b2')
  assert.equal(handled, ['a0', 'a0', 'b0', 'b1', 'b2'])
  await worker.stop()
})

test('a reset in the middle of a replay ends the replay, and the worker handles all events again', async () => {
  const { name, bad, append, process, parkedAre } = parkingSubscription(meow)
  bad.add('b')
  await append('b', 3)
  const begun = gate()
  const going = gate()
  const seen: string[] = []
  const worker = process(async (event) => {
    if (bad.has(event.streamId)) throw new Error('no')
    seen.push(named(event))
    if (seen.length === 2) {
      begun.open()
      await going.opened
    }
  })
  await parkedAre('b0', 'b1', 'b2')
  bad.clear()
  await meow.replayParked(name)
  await begun.opened
  await meow.resetSubscription(name, 'start')
  going.open()
  await append('b')
  await until(() => seen.includes('b3'), { what: 'all events to come again' })
  assert.equal(seen, ['b0', 'b1', 'b0', 'b1', 'b2', 'b3'])
  await parkedAre()
  await worker.stop()
})

test.run()
