// transactional: a failing event is retried, and only its stream waits; after the last attempt it is parked, or the worker stops.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { named } from './support/named.ts'
import { outcome } from './support/outcome.ts'
import { soon } from './support/own-subscription.ts'
import { closeAll } from './support/store.ts'
import { openTransactional } from './support/transactional.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const { meow, given } = await openTransactional()
test.after(closeAll)

test('what was written before a failing event is kept, and only the stream of that event waits', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 30)
  await append('b', 3)
  await append('c', 3)
  let bad = true
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (bad && event.streamId === 'b' && event.version === 1) throw new Error('no')
    },
    { retry: { maxAttempts: 1_000_000, ...soon } },
  )
  await hasWritten(34)
  await append('a')
  await hasWritten(35)
  assert.equal(
    (await written()).filter((event) => event.startsWith('b')),
    ['b0'],
  )
  bad = false
  await hasWritten(37)
  const all = await written()
  for (const [stream, count] of [
    ['a', 31],
    ['b', 3],
    ['c', 3],
  ] as const) {
    assert.equal(
      all.filter((event) => event.startsWith(stream)),
      upTo(count).map((n) => `${stream}${n}`),
    )
  }
  await until(async () => (await meow.parked(name)).length === 0, { what: 'nothing to be parked' })
  await worker.stop()
})

test('attempts are counted, pauses are made, and maxAttempts ends them', async () => {
  const { name, append, process, write, written, parked } = await given()
  await append('a', 3)
  const attempts = new Set<number>()
  const worker = process(
    async (event, { client, attempt }) => {
      await write(event, client)
      if (event.version !== 1) return
      attempts.add(attempt)
      throw new Error(`attempt ${attempt}`)
    },
    { retry: { ...soon, maxAttempts: 3 } },
  )
  await until(async () => (await parked())[0]?.attempts === 3, { what: 'the last attempt' })
  await worker.stop()
  assert.equal([...attempts], [1, 2, 3])
  assert.equal(await written(), ['a0'])
  const list = await meow.parked(name)
  assert.equal(
    list.map(({ event, attempts }) => [event.version, attempts]),
    [
      [1, 3],
      [2, 0],
    ],
  )
  assert.match(list[0]!.error!, /^Error: attempt 3/)
})

test('an event that is retried without a pause is not lost', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const worker = process(
    async (event, { client, attempt }) => {
      await write(event, client)
      if (attempt < 3) throw new Error('not yet')
    },
    { retry: { maxAttempts: 5, minDelayMs: 0, maxDelayMs: 0 } },
  )
  for (const n of upTo(3)) {
    await append('a') // no later event follows
    await hasWritten(n + 1)
  }
  await worker.stop()
  assert.equal(await written(), ['a0', 'a1', 'a2'])
})

test("onExhausted 'stop': earlier effects are kept, the worker ends with the error of the handler, and nothing after it runs", async () => {
  for (const streams of [1, 120]) {
    const { name, append, process, write, written } = await given()
    const events: RecordedEvent[] = []
    for (const n of upTo(120)) events.push((await append(`${n % streams}`))[0]!)
    const bad = events[10]!
    const error = new Error('the very one')
    const worker = process(
      async (event, { client }) => {
        await write(event, client)
        if (event.position === bad.position) throw error
      },
      { onExhausted: 'stop', retry: { maxAttempts: 1 } },
    )
    assert.is((await outcome(worker.done)).reason, error)
    await worker.stop()
    assert.equal(await written(), events.slice(0, 10).map(named), `${streams} streams`)
    assert.is((await checkpoint(name)).position, events[9]!.position)
    const again = process((event, { client }) => write(event, client))
    await until(async () => (await checkpoint(name)).position === events.at(-1)!.position, {
      what: 'the other events',
    })
    await again.stop()
    assert.equal((await written()).sort(), events.map(named).sort(), 'each once')
  }
})

test('timeoutMs: a handler that takes longer fails, and nothing that it wrote is kept', async () => {
  const { name, append, process, write, written, hasWritten, parked } = await given()
  await append('slow')
  await append('quick')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'slow') await new Promise(() => {})
    },
    { timeoutMs: 50, retry: { ...soon, maxAttempts: 2 } },
  )
  await hasWritten(1)
  await until(async () => (await parked())[0]?.attempts === 2, { what: 'the slow event to be parked' })
  assert.match((await meow.parked(name))[0]!.error!, /^TimeoutError/)
  assert.equal(await written(), ['quick0'])
  await worker.stop()
})

test('a handler that leaves its transaction idle for longer than the lease is parked after its last attempt', async () => {
  const { name, append, process, write, hasWritten } = await given({ leaseMs: 300 })
  await append('slow')
  await append('quick')
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (event.streamId === 'slow') await new Promise((resolve) => setTimeout(resolve, 600))
    },
    { retry: { ...soon, maxAttempts: 2 } },
  )
  await hasWritten(1)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the slow event to be parked' })
  await worker.stop()
})

test.run()
