// What fails for the last time is parked by stream in JetStream; the others go on, and a replay is in order. @direct
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { assertHandled, consume, PARTITIONS, published } from './support/jetstream.ts'
import type { Nats } from './support/nats.ts'
import { countOf, findNats, startNats } from './support/nats.ts'
import { rejects } from './support/rejects.ts'
import { append } from './support/relays.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const fed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats
let meow: Meow
test.before(async () => {
  if (!program) return
  nats = await startNats(program)
  meow = await openStore()
})
test.after(async () => {
  await closeAll()
  await nats?.stop()
})

fed(
  'streams that fail are parked from there on, by any of two processes; a replay brings all in order',
  async () => {
    const { category, stream, events } = await published(nats, meow, 200)
    await using one = consume(nats, stream)
    await using two = consume(nats, stream)
    const broken = ['3', '7', '11']
    let isRepaired = false
    const seen: RecordedEvent[] = []
    const calls = new Map<string, number>()
    const start = (fed: typeof one) =>
      fed.subscription('parking', { category, partitions: PARTITIONS }).process(
        async (event) => {
          if (!isRepaired && broken.includes(event.streamId) && event.version >= 2) {
            calls.set(event.id, (calls.get(event.id) ?? 0) + 1)
            throw new Error(`can't do ${event.streamId}`)
          }
          await new Promise((resolve) => setImmediate(resolve))
          seen.push(event)
        },
        { concurrency: 4, retry: { maxAttempts: 2, minDelayMs: 5, maxDelayMs: 10 } },
      )
    await using _ = start(one)
    await using __ = start(two)
    const good = events.filter(({ streamId, version }) => !broken.includes(streamId) || version < 2)
    await until(() => seen.length >= good.length, { what: 'the others', timeoutMs: 20_000 })
    assertHandled(seen, good)
    const subscription = one.subscription('parking', { category, partitions: PARTITIONS })
    const count = async () => (await subscription.parked()).reduce((sum, { events }) => sum + events, 0)
    await until(async () => (await count()) === 3 * 8, { what: 'all that follows to be parked too' })
    const parked = await subscription.parked()
    assert.equal(parked.map(({ streamId }) => streamId).sort(), [...broken].sort())
    for (const { version, attempts, error, streamId } of parked)
      assert.equal([version, attempts, error], [2, 2, `can't do ${streamId}`])
    assert.equal([...calls.values()], [2, 2, 2], 'nothing after the first failure was tried')

    assert.is(await subscription.replayParked({ category, streamId: '3' }), 1)
    assert.is(await subscription.replayParked({ category, streamId: 'none' }), 0)
    await until(() => [...calls.values()].reduce((a, b) => a + b, 0) === 8, { what: 'a replay that fails' })
    assert.is(await count(), 24, 'it stays parked')

    isRepaired = true
    assert.is(await subscription.replayParked({ category, streamId: '7' }), 1)
    await until(async () => (await count()) === 16, { what: 'one stream' })
    const later = await append(meow, category, 40) // some of parked streams
    assert.is(await subscription.replayParked(), 2)
    await until(async () => new Set(seen.map(({ id }) => id)).size === 240, {
      what: 'all',
      timeoutMs: 20_000,
    })
    assertHandled(seen, [...events, ...later])
    assert.equal(await subscription.parked(), [])
    assert.is(await countOf(nats, `${stream}_PARKED`), 0)
  },
)

fed("onExhausted: 'stop' ends the worker with the error, and the event stays", async () => {
  const { category, stream, events } = await published(nats, meow, 30)
  await using fed = consume(nats, stream)
  const subscription = fed.subscription('stopping', { category, partitions: PARTITIONS })
  const worker = subscription.process(
    () => {
      throw new Error('broken')
    },
    { onExhausted: 'stop', retry: { maxAttempts: 2, minDelayMs: 5 } },
  )
  assert.is((await rejects(worker.done, Error)).message, 'broken')
  assert.equal(await subscription.parked(), [])
  const seen: RecordedEvent[] = []
  await using _ = subscription.process((event) => void seen.push(event))
  await until(() => new Set(seen.map(({ id }) => id)).size === 30, { what: 'all' })
  assertHandled(seen, events)
})

fed('two subscriptions of one stream do not see what the other has parked or replays', async () => {
  const { category, stream } = await published(nats, meow, 20)
  await using fed = consume(nats, stream)
  const failing = fed.subscription('failing', { category, partitions: PARTITIONS })
  const fine = fed.subscription('fine', { category, partitions: PARTITIONS })
  let isRepaired = false
  let handled = 0
  await using _ = failing.process(
    ({ streamId }) => {
      if (streamId === '5' && !isRepaired) throw new Error('broken')
      handled++
    },
    { retry: { maxAttempts: 1 } },
  )
  const seen: RecordedEvent[] = []
  await using __ = fine.process((event) => void seen.push(event))
  await until(async () => (await failing.parked()).length === 1, { what: 'one to be parked' })
  isRepaired = true
  await failing.replayParked()
  await until(async () => handled >= 20 && (await failing.parked()).length === 0, { what: 'the replay' })
  await until(() => seen.length === 20, { what: 'the other one' })
  assert.equal(await fine.parked(), [])
})

test.run()
