// replayParked() delivers parked events again: each once, in order, and before the newer events of their stream.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { gate } from './support/gate.ts'
import { named } from './support/named.ts'
import { parkingSubscription } from './support/parking.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(closeAll)

test('all parked events are replayed in order, and newer events of their streams follow', async () => {
  const { name, bad, append, process, has, parkedAre, handled, info } = parkingSubscription(meow)
  bad.add('b').add('c')
  await append('b', 3)
  await append('c', 2)
  const worker = process()
  await parkedAre('b0', 'b1', 'b2', 'c0', 'c1')
  bad.clear()
  assert.is(await meow.replayParked(name), 5)
  await append('b', 2)
  await append('c', 1)
  await has('b4', 'c2')
  await parkedAre()
  const of = (stream: string) => handled.filter((event) => event.startsWith(stream))
  assert.equal(of('b'), ['b0', 'b1', 'b2', 'b3', 'b4'])
  assert.equal(of('c'), ['c0', 'c1', 'c2'])
  assert.is(await meow.replayParked(name), 0)
  await append('b')
  await has('b5')
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })
  assert.is((await info())!.parked, 0)
  assert.is(handled.length, 9, 'each once')
  await worker.stop()
})

test('one stream can be replayed on its own', async () => {
  const { name, bad, append, process, has, parkedAre, handled } = parkingSubscription(meow)
  bad.add('b').add('c')
  await append('c', 2)
  await append('b', 2)
  const worker = process()
  await parkedAre('c0', 'c1', 'b0', 'b1')
  bad.clear()
  assert.is(await meow.replayParked(name, { streamId: 'b' }), 2)
  await append('c')
  await append('b')
  await has('b2')
  await parkedAre('c0', 'c1', 'c2')
  assert.equal(handled, ['b0', 'b1', 'b2'])
  await worker.stop()
})

test('if no worker runs, the next worker does the replay', async () => {
  for (const concurrency of [1, 3]) {
    const { name, bad, append, process, has, parkedAre, handled } = parkingSubscription(meow)
    bad.add('b')
    await append('b', 3)
    const worker = process()
    await parkedAre('b0', 'b1', 'b2')
    await worker.stop()
    bad.clear()
    await append('b', 2)
    assert.is(await meow.replayParked(name), 5)
    const next = process(undefined, { concurrency })
    await append('b')
    await has('b5')
    assert.equal(
      handled,
      upTo(6).map((n) => `b${n}`),
    )
    await parkedAre()
    await next.stop()
  }
})

test('new events that arrive during a replay follow it, without gap, repetition or wrong order', async () => {
  const { name, bad, append, process, parkedAre, handled, has } = parkingSubscription(meow, {
    maxInFlight: 20,
  })
  const worker = process()
  for (const round of upTo(10)) {
    bad.add('b')
    await append('b', 3)
    await until(async () => (await meow.parked(name)).length >= 3, { what: 'the events of b to be parked' })
    bad.clear()
    let replayed = false
    const replay = meow.replayParked(name).then(async () => {
      await parkedAre()
      replayed = true
    })
    let count = 0
    while (!replayed || count < 20) {
      await append('b')
      if (count++ % 3 === 0) await append('other')
    }
    await replay
    const [last] = await append('b')
    await has(named(last!))
    const versions = handled.filter((event) => event.startsWith('b'))
    assert.equal(
      versions,
      upTo(last!.version + 1).map((n) => `b${n}`),
      `round ${round}`,
    )
  }
  await worker.stop()
})

test('an event that fails in a replay is parked again, with the events after it', async () => {
  const { name, append, process, parkedAre } = parkingSubscription(meow)
  await append('b', 4)
  const seen: [event: string, attempt: number][] = []
  let failing = 0
  const worker = process((event, { attempt }) => {
    seen.push([named(event), attempt])
    if (event.version === failing) throw new Error(`at ${failing}`)
  })
  await parkedAre('b0', 'b1', 'b2', 'b3')
  failing = 2
  assert.is(await meow.replayParked(name), 4)
  // The same two events are parked while b2 is being replayed, before it fails.
  const failed = async () => (await meow.parked(name))[0]?.error?.startsWith('Error: at 2') ?? false
  await until(failed, { what: 'b2 to fail again' })
  await parkedAre('b2', 'b3')
  const [, second] = await meow.parked(name)
  assert.equal([second!.attempts, second!.error], [0, null])
  await append('b')
  for (const round of upTo(3)) {
    const before = seen.length
    assert.is(await meow.replayParked(name), 3)
    await until(() => seen.length > before, { what: `round ${round}` })
    await until(async () => (await meow.parked(name))[0]!.attempts === seen.at(-1)![1], {
      what: 'its number of attempts',
    })
    await parkedAre('b2', 'b3', 'b4')
    assert.is(seen.length, before + 1)
  }
  failing = -1
  await meow.replayParked(name)
  await parkedAre()
  assert.equal(
    seen.map(([event]) => event),
    ['b0', 'b0', 'b1', 'b2', 'b2', 'b2', 'b2', 'b2', 'b3', 'b4'],
  )
  await worker.stop()
})

test('if a worker stops in the middle of a replay, no event is repeated, and the next worker continues', async () => {
  const { name, bad, append, process, parkedAre, handled, has } = parkingSubscription(meow)
  bad.add('b')
  await append('b', 6)
  let worker = process()
  await parkedAre(...upTo(6).map((n) => `b${n}`))
  await worker.stop()
  bad.clear()
  await meow.replayParked(name)
  for (const round of upTo(8)) {
    const [begun, going] = [gate(), gate()]
    worker = process(async (event, { signal }) => {
      // The handler ends right when it is told to stop, or later, when nothing else is running.
      if (round % 2) signal.addEventListener('abort', () => setTimeout(going.open, 50))
      begun.open()
      await going.opened
      handled.push(named(event))
    })
    await begun.opened
    const stopping = worker.stop()
    const began = performance.now()
    if (round % 2 === 0) going.open()
    await stopping
    assert.ok(performance.now() - began < 10_000, `round ${round}: it waited for a part of the lease`)
    await append('b')
    assert.equal(
      handled,
      upTo(round + 1).map((n) => `b${n}`),
      `round ${round}`,
    )
  }
  worker = process()
  await has('b13')
  await parkedAre()
  assert.equal(
    handled,
    upTo(14).map((n) => `b${n}`),
    'each once',
  )
  await worker.stop()
})

test('if an executor loses its lease in the middle of a replay, only the event that it was handling comes again', async () => {
  const { name, bad, append, process, parkedAre, handled } = parkingSubscription(meow)
  const sql = await pgClient()
  bad.add('b')
  await append('b', 5)
  let worker = process()
  await parkedAre(...upTo(5).map((n) => `b${n}`))
  await worker.stop()
  bad.clear()
  await meow.replayParked(name)
  const [begun, going] = [gate(), gate()]
  worker = process(async (event) => {
    if (event.version === 2) {
      begun.open()
      await going.opened
    }
    handled.push(named(event))
  })
  await begun.opened
  const other = await openStore({ pollIntervalMs: 200 })
  const seenByOther: string[] = []
  await sql.query(
    `update ${storeSchema}.checkpoints set epoch = epoch + 1, owner = null, lease_until = null where subscription = $1`,
    [name],
  )
  const next = process((event) => seenByOther.push(named(event)), {}, other)
  await next.ready
  going.open()
  await append('b')
  await until(async () => (await meow.parked(name)).length === 0, { what: 'the replay' })
  await until(() => handled.includes('b5') || seenByOther.includes('b5'), { what: 'the last event' })
  const all = [...handled, ...seenByOther]
  assert.equal([...new Set(all)].sort(), ['b0', 'b1', 'b2', 'b3', 'b4', 'b5'])
  assert.ok(
    all.filter((event) => event !== 'b2').length === 5 && all.length <= 7,
    `${handled}, then ${seenByOther}`,
  )
  await Promise.all([worker.stop(), next.stop()])
  await other.close()
})

test.run()
