// concurrency: at most this many streams are handled at the same time, and of each stream one event at a time.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { gate } from './support/gate.ts'
import { ownSubscription, soon } from './support/own-subscription.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(closeAll)
const given = (options?: Partial<SubscriptionOptions>) => ownSubscription(meow, options)

test('as many streams run at the same time as concurrency says, and no stream twice', async () => {
  const { append, process, past } = given()
  let last: RecordedEvent | undefined
  for (const _ of upTo(5)) {
    for (const stream of upTo(10)) last = (await append(`${stream}`, 2)).at(-1)
  }
  const running = new Set<string>()
  const handled = new Map<string, number[]>()
  let most = 0
  let full = gate()
  const worker = process(
    async ({ streamId, version }, { attempt }) => {
      assert.not(running.has(streamId), `stream ${streamId} twice at once`)
      running.add(streamId)
      most = Math.max(most, running.size)
      // The first four wait for each other: they end only if all four run at the same time.
      if (running.size === 4) full.open()
      await full.opened
      running.delete(streamId)
      if (version % 4 === 1 && attempt === 1) throw new Error('once more')
      handled.set(streamId, [...(handled.get(streamId) ?? []), version])
    },
    { concurrency: 4, retry: soon },
  )
  await past(last!)
  assert.is(most, 4)
  assert.is(handled.size, 10)
  for (const [streamId, versions] of handled) assert.equal(versions, upTo(10), `stream ${streamId}`)

  // If there are fewer streams than slots, as many run as there are streams.
  full = gate()
  full.open()
  most = 0
  const [, more] = [await append('0', 20), (await append('1', 20)).at(-1)]
  await past(more!)
  assert.ok(most <= 2)
  await worker.stop()
})

test('a slow stream takes one slot only', async () => {
  const { append, process } = given()
  await append('slow', 50)
  await append('quick', 50)
  const held = gate()
  const quick: number[] = []
  const slow: number[] = []
  const worker = process(
    async ({ streamId, version }) => {
      if (streamId === 'slow') await held.opened
      ;(streamId === 'slow' ? slow : quick).push(version)
    },
    { concurrency: 2 },
  )
  await until(() => quick.length === 50, { what: 'the quick stream' })
  assert.equal(slow, [])
  held.open()
  await until(() => slow.length === 50, { what: 'the slow stream' })
  assert.equal([quick, slow], [upTo(50), upTo(50)])
  await worker.stop()
})

test.run()
